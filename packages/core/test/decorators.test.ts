import { compileFunction } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import ts from 'typescript'
import { handlersOf, messageHandler, type FoundHandler } from '../src/decorators.ts'
import type { HandlerContext, HandlerOptions } from '../src/consume/handler.ts'
import { Message } from '../src/message/message.ts'

const context = {} as HandlerContext
const message = new Message({ id: 'm1' })

const queuesOf = (found: FoundHandler[]) => found.map(({ queue }) => queue)
const run = (found: FoundHandler | undefined) => found?.fn(message, context)

/** Any method decorator that puts a function of its own in place of the method. */
function replacing<This>(method: (this: This) => string, _context: ClassMethodDecoratorContext) {
  return function (this: This): string {
    return `replaced ${method.call(this)}`
  }
}

class Base {
  prefix = 'base'

  @messageHandler('orders', { concurrency: 5 })
  onOrder(received: Message) {
    return `${this.prefix} order ${received.id}`
  }

  @messageHandler('payments')
  async onPayment() {
    return `${this.prefix} payment`
  }
}

class Derived extends Base {
  override prefix = 'derived'

  override onOrder(received: Message) {
    return `override of ${super.onOrder(received)}`
  }

  @messageHandler('refunds')
  onRefund() {
    return 'refund'
  }
}

describe('messageHandler as a standard decorator', () => {
  it('finds every decorated method, bound to the instance, with its options', async () => {
    const found = handlersOf(new Base())
    expect(queuesOf(found)).toEqual(['orders', 'payments'])
    expect(found.map(({ options }) => options)).toEqual([{ concurrency: 5 }, {}])
    expect(run(found[0])).toBe('base order m1')
    expect(await run(found[1])).toBe('base payment')
  })

  it('finds inherited methods; an override takes over the registration', () => {
    const found = handlersOf(new Derived())
    expect(queuesOf(found).sort()).toEqual(['orders', 'payments', 'refunds'])
    const orders = found.find(({ queue }) => queue === 'orders')
    expect(run(orders)).toBe('override of derived order m1')
    expect(orders?.options).toEqual({ concurrency: 5 })
  })

  it('lets an override that is decorated anew replace what the base class said', () => {
    class Moved extends Base {
      @messageHandler('orders.v2')
      override onOrder() {
        return 'moved'
      }
    }
    expect(queuesOf(handlersOf(new Moved())).sort()).toEqual(['orders.v2', 'payments'])
    expect(queuesOf(handlersOf(new Base()))).toEqual(['orders', 'payments'])
  })

  it('keeps instances apart and registers nothing twice', () => {
    const [one, two] = [new Base(), new Base()]
    two.prefix = 'second'
    expect(run(handlersOf(one)[0])).toBe('base order m1')
    expect(run(handlersOf(two)[0])).toBe('second order m1')
    expect(handlersOf(one)).toHaveLength(2)
    expect(handlersOf(one)).toHaveLength(2)
  })

  it('takes several queues for one method, and keeps them under other decorators', () => {
    class Several {
      @messageHandler('a')
      @replacing
      @messageHandler('b')
      handle() {
        return 'handled'
      }
    }
    const found = handlersOf(new Several())
    expect(queuesOf(found).sort()).toEqual(['a', 'b'])
    expect(found.map(run)).toEqual(['replaced handled', 'replaced handled'])
  })

  it('answers both of two methods for one queue', () => {
    class Twice {
      @messageHandler('orders')
      one() {
        return 1
      }
      @messageHandler('orders')
      two() {
        return 2
      }
    }
    expect(handlersOf(new Twice()).map(run)).toEqual([1, 2])
  })

  it('finds static methods of a class', () => {
    class Static {
      static answer = 42
      @messageHandler('orders')
      static handle() {
        return this.answer
      }
    }
    expect(handlersOf(Static).map(run)).toEqual([42])
  })

  it('leaves nothing to see on an instance', () => {
    expect(Object.keys(new Base())).toEqual(['prefix'])
    expect(JSON.stringify(new Base())).toBe('{"prefix":"base"}')
  })

  it('refuses private methods and fields', () => {
    const decorate = messageHandler('orders') as unknown as (value: unknown, where: object) => void
    const where = { kind: 'method', private: true, name: '#x', addInitializer: () => undefined }
    expect(() => decorate(() => undefined, where)).toThrow(/#x is a private method/)
    expect(() => decorate(undefined, { ...where, kind: 'field', private: false, name: 'x' })).toThrow(
      /x is a field/,
    )
  })
})

/** Compiles with `experimentalDecorators` and answers what the program returns. */
function legacy(program: string): Record<string, new () => object> {
  const { outputText } = ts.transpileModule(program, {
    compilerOptions: {
      experimentalDecorators: true,
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.None,
    },
  })
  expect(outputText).toContain('__decorate')
  return compileFunction(outputText, ['messageHandler'])(messageHandler) as Record<string, new () => object>
}

describe('messageHandler as a legacy decorator', () => {
  const classes = legacy(`
    const wrap: any = (target: object, key: string, descriptor: any) => {
      const method = descriptor.value
      return { ...descriptor, value(...args: any[]) { return ['replaced', method.apply(this, args)] } }
    }
    class Base {
      prefix = 'base'
      @messageHandler('orders', { concurrency: 5 }) onOrder(received: any) { return this.prefix + ' order ' + received.id }
      @messageHandler('payments') onPayment() { return this.prefix + ' payment' }
    }
    class Derived extends Base {
      prefix = 'derived'
      onOrder(received: any) { return 'override of ' + super.onOrder(received) }
      @messageHandler('payments.v2') onPayment() { return 'moved' }
      @messageHandler('refunds') onRefund() { return 'refund' }
    }
    class Several { @messageHandler('a') @wrap @messageHandler('b') handle() { return 'handled' } }
    class Static { static answer = 42; @messageHandler('orders') static handle() { return this.answer } }
    return { Base, Derived, Several, Static }`)
  const made = (name: string) => handlersOf(new (classes[name] as new () => object)())

  it('finds every decorated method, bound to the instance, with its options', () => {
    const found = made('Base')
    expect(queuesOf(found)).toEqual(['orders', 'payments'])
    expect(found[0]?.options).toEqual({ concurrency: 5 })
    expect(found.map(run)).toEqual(['base order m1', 'base payment'])
  })

  it('finds inherited methods; overrides take over, or replace when decorated anew', () => {
    const found = made('Derived')
    expect(queuesOf(found).sort()).toEqual(['orders', 'payments.v2', 'refunds'])
    expect(run(found.find(({ queue }) => queue === 'orders'))).toBe('override of derived order m1')
    expect(queuesOf(made('Base'))).toEqual(['orders', 'payments'])
  })

  it('takes several queues for one method, and keeps them under other decorators', () => {
    const found = made('Several')
    expect(queuesOf(found).sort()).toEqual(['a', 'b'])
    expect(run(found[0])).toEqual(['replaced', 'handled'])
  })

  it('takes a method of which another decorator made an accessor', () => {
    const { Bound } = legacy(`
      const bound: any = (target: object, key: string, descriptor: any) => {
        const { value } = descriptor
        return { configurable: true, get() { return value.bind(this) } }
      }
      class Bound { @messageHandler('orders') @bound handle() { return 'bound' } }
      return { Bound }`)
    expect(handlersOf(new (Bound as new () => object)()).map(run)).toEqual(['bound'])
  })

  it.each([
    ['a class', `@messageHandler('orders') class Refused {}`, /Refused is a class/],
    [
      'a getter',
      `class Refused { @messageHandler('orders') get handle() { throw 1 } }`,
      /handle is no method/,
    ],
    ['a field', `class Refused { @messageHandler('orders') handle = 1 }`, /handle is no method/],
  ])('refuses %s', (_what, program, says) => {
    expect(() => legacy(program)).toThrow(says)
    expect(() => legacy(program)).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })

  it('finds static methods of a class', () => {
    expect(handlersOf(classes['Static'] as object).map(run)).toEqual([42])
  })
})

describe('messageHandler as a wrapper', () => {
  it('wraps a function, which itself stays as it was', () => {
    const fn = (received: Message) => received.id
    const wrapped = messageHandler('orders', { timeoutMs: 5 })(fn)
    expect(wrapped.name).toBe('fn')
    expect(wrapped(message, context)).toBe('m1')
    const [found] = handlersOf(wrapped)
    expect(found).toMatchObject({ queue: 'orders', options: { timeoutMs: 5 } })
    expect(run(found)).toBe('m1')
    expect(() => handlersOf(fn)).toThrow(/registerHandlers takes/)
  })

  it('takes a function of many messages with batch, and no other', () => {
    const batched = messageHandler('orders', { batch: { size: 2, waitMs: 5 } })
    const fn = batched((messages) => messages.length)
    expect(handlersOf(fn)[0]?.fn([message, message] as never, context)).toBe(2)
    // @ts-expect-error it takes one message
    const one = batched((single: Message) => single.id)
    class Service {
      // @ts-expect-error as above
      @messageHandler('orders', { batch: { size: 2, waitMs: 5 } })
      handle(single: Message) {
        return single.id
      }
    }
    expect([one as unknown as object, new Service()].flatMap((each) => queuesOf(handlersOf(each)))).toEqual([
      'orders',
      'orders',
    ])
    const given: HandlerOptions = {}
    expect(queuesOf(handlersOf(messageHandler('orders', given)(() => 1)))).toEqual(['orders'])
  })

  it('adds up when wrapped again', () => {
    const once = messageHandler('a')(() => 1)
    expect(queuesOf(handlersOf(messageHandler('b')(once)))).toEqual(['a', 'b'])
    expect(queuesOf(handlersOf(once))).toEqual(['a'])
  })

  it('is found in the properties of an object, with the object as this', () => {
    class WithField {
      answer = 42
      readonly handle = messageHandler('orders')(function (this: unknown) {
        return (this as WithField).answer
      })
    }
    expect(handlersOf(new WithField()).map(run)).toEqual([42])
    expect(queuesOf(handlersOf({ a: messageHandler('a')(() => 1), b: 2 }))).toEqual(['a'])
  })
})

describe('what is refused', () => {
  it('a wrong queue name, at once', () => {
    expect(() => messageHandler('no spaces')).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })

  it('something to wrap that is no function', () => {
    expect(() => messageHandler('orders')({} as never)).toThrow(/it wraps a function/)
  })

  it.each([
    ['null', null],
    ['a text', 'orders'],
    ['an object without handlers', { a: () => 1 }],
    ['a function that was not wrapped', () => 1],
  ])('%s in place of an instance', (_what, target) => {
    expect(() => handlersOf(target as object)).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })

  it('a class in place of its instance, saying so', () => {
    expect(() => handlersOf(Base)).toThrow(/Base has no static handlers: pass an instance/)
  })
})
