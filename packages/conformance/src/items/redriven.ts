import assert from 'node:assert/strict'
import { take } from '../helpers.ts'
import { group } from '../item.ts'

/** Dead letters that are moved back, and fail once more. */
export const redriven = group('dead-letters', (item) => {
  item('redrive-again', 'what is redriven begins anew, and is marked, however often', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const letters = queue.deadLetters(name)
    const id = await queue.send(name, 'x')
    let before = 0
    for (let life = 0; life < 3; life++) {
      const marked = life > 0
      const first = await take(t, queue, name)
      assert.deepEqual([first.id, first.deliveryCount, first.redriven], [id, 0, marked], `life ${life}`)
      await queue.reject(first, { requeue: true })
      const second = await take(t, queue, name)
      assert.deepEqual([second.id, second.deliveryCount, second.redriven], [id, 1, marked], `life ${life}`)
      await queue.reject(second, { reason: `life ${life}` })
      const info = (await letters.get(id))?.deadLetter
      assert.deepEqual([info?.attempts, info?.error.message], [2, `life ${life}`])
      const failedAt = info?.firstFailedAt.getTime() ?? 0
      assert.ok(failedAt > before, 'the first failure of a former life')
      before = failedAt
      await t.quiet(20)
      assert.equal((await letters.redrive()).moved, 1)
    }
  })
})
