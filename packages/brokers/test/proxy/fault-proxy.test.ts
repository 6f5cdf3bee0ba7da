import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { faultProxy, type FaultProxy } from '../../src/index.ts'
import { exchange } from '../../src/net/tcp.ts'
import { waitUntil } from '../../src/wait.ts'
import { connect } from '../helpers/client.ts'
import { echoServer, type EchoServer } from '../helpers/echo-server.ts'

describe('the fault proxy', () => {
  let echo: EchoServer
  let proxy: FaultProxy

  beforeEach(async () => {
    echo = await echoServer()
    proxy = await faultProxy(echo)
  })

  afterEach(async () => {
    await proxy.close()
    await echo.close()
  })

  it('forwards bytes both ways and counts connections', async () => {
    const client = await connect(proxy.port)
    client.send('hello')
    expect((await client.receive(5)).toString()).toBe('hello')
    expect(proxy.connections()).toBe(1)
    client.socket.end()
    expect(await client.over).toBe('ended')
    expect(await waitUntil(() => proxy.connections() === 0, 10_000, 5)).toBe(true)
  })

  it('forwards a megabyte unharmed', async () => {
    const client = await connect(proxy.port)
    const bytes = Buffer.from(Array.from({ length: 1 << 20 }, (_, index) => index % 251))
    client.send(bytes)
    expect((await client.receive(bytes.length)).equals(bytes)).toBe(true)
    client.socket.destroy()
  })

  it('resets what is open on cut() and accepts new connections', async () => {
    const client = await connect(proxy.port)
    client.send('a')
    await client.receive(1)
    proxy.cut()
    expect(await client.over).toBe('ECONNRESET')
    const next = await connect(proxy.port)
    next.send('b')
    expect((await next.receive(1)).toString()).toBe('b')
    next.socket.destroy()
  })

  it('ends what is open on end()', async () => {
    const client = await connect(proxy.port)
    client.send('a')
    await client.receive(1)
    proxy.end()
    expect(await client.over).toBe('ended')
    client.socket.destroy()
  })

  it('holds everything in a black hole, new connections too, and hands it over when healed', async () => {
    const client = await connect(proxy.port)
    client.send('before')
    await client.receive(6)
    proxy.blackHole()
    client.send('within')
    const late = await connect(proxy.port)
    late.send('late')
    // A second way to the server shows that it would have had the bytes by now.
    await exchange(echo.host, echo.port, 'direct', (bytes) => (bytes.length === 6 ? true : undefined))
    expect(echo.received().toString()).toBe('beforedirect')
    expect(late.received()).toHaveLength(0)
    proxy.heal()
    expect((await client.receive(12)).toString()).toBe('beforewithin')
    expect((await late.receive(4)).toString()).toBe('late')
    client.socket.destroy()
    late.socket.destroy()
  })

  it('lets a continuous writer feel a black hole: its buffers fill and stay full', async () => {
    const client = await connect(proxy.port)
    client.send('a')
    await client.receive(1)
    proxy.blackHole('up')
    const chunk = Buffer.alloc(1 << 20)
    for (let count = 0; count < 32; count++) client.socket.write(chunk)
    const full = await waitUntil(async () => {
      const before = client.socket.bytesWritten - client.socket.writableLength
      await new Promise((resolve) => setImmediate(resolve))
      return client.socket.writableLength > 8 << 20 && client.socket.bytesWritten > before
    }, 10_000)
    expect(full).toBe(true)
    expect(echo.received()).toHaveLength(1)
    client.socket.destroy()
  })

  it('holds one direction alone', async () => {
    const client = await connect(proxy.port)
    client.send('a')
    await client.receive(1)
    proxy.blackHole('down')
    client.send('b')
    expect(await waitUntil(() => echo.received().length === 2, 10_000, 5)).toBe(true)
    expect(client.received().toString()).toBe('a')
    proxy.heal()
    expect((await client.receive(2)).toString()).toBe('ab')
    client.socket.destroy()
  })

  it('keeps the end of a connection secret in a black hole', async () => {
    const client = await connect(proxy.port)
    client.send('a')
    await client.receive(1)
    proxy.blackHole()
    let over = false
    void client.over.then(() => (over = true))
    await echo.close()
    await new Promise((resolve) => setImmediate(resolve))
    expect(over).toBe(false)
    proxy.heal()
    expect(await client.over).toMatch(/ended|ECONNRESET/)
    client.socket.destroy()
  })

  it('delays in order, at least as long as asked', async () => {
    const client = await connect(proxy.port)
    client.send('a')
    await client.receive(1)
    proxy.delay(40)
    const start = Date.now()
    client.send('b')
    client.send('c')
    expect((await client.receive(3)).toString()).toBe('abc')
    // Both directions are delayed; timers may fire a millisecond early.
    expect(Date.now() - start).toBeGreaterThanOrEqual(78)
    client.socket.destroy()
  })

  it('throttles, and stops throttling when healed', async () => {
    const client = await connect(proxy.port)
    proxy.throttle(1000)
    client.send(Buffer.alloc(100_000, 'x'))
    const some = await client.receive(50)
    // 100,000 bytes would take 100 seconds.
    expect(some.length).toBeLessThan(1000)
    proxy.heal()
    expect(await client.receive(100_000)).toHaveLength(100_000)
    client.socket.destroy()
  })

  it('cuts in the middle of a frame, after exactly the bytes asked for', async () => {
    const client = await connect(proxy.port)
    const before = proxy.cuts()
    proxy.blackHole('down')
    proxy.cutAfter(7)
    client.send('0123456789')
    expect(await client.over).toBe('ECONNRESET')
    expect(await waitUntil(() => echo.received().length >= 7, 10_000, 5)).toBe(true)
    expect(echo.received().toString()).toBe('0123456')
    expect(proxy.cuts()).toBe(before + 1)
    proxy.heal()
    const next = await connect(proxy.port)
    next.send('0123456789')
    expect(await next.receive(10)).toHaveLength(10)
    next.socket.destroy()
  })

  it('refuses new connections, keeps open ones, and listens on the same port when healed', async () => {
    const client = await connect(proxy.port)
    client.send('a')
    await client.receive(1)
    proxy.refuse()
    await expect(connect(proxy.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    client.send('b')
    expect((await client.receive(2)).toString()).toBe('ab')
    proxy.heal()
    const next = await connect(proxy.port)
    next.send('c')
    expect((await next.receive(1)).toString()).toBe('c')
    client.socket.destroy()
    next.socket.destroy()
  })

  it('passes on that the server is gone', async () => {
    await echo.close()
    const client = await connect(proxy.port)
    expect(await client.over).toBe('ECONNRESET')
  })

  it('resets what is open and refuses afterwards on close()', async () => {
    const client = await connect(proxy.port)
    await proxy.close()
    expect(await client.over).toBe('ECONNRESET')
    await expect(connect(proxy.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('refuses a rate or a count that makes no sense', () => {
    expect(() => proxy.throttle(0)).toThrow(RangeError)
    expect(() => proxy.cutAfter(Number.NaN)).toThrow(RangeError)
  })
})
