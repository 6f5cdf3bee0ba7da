import { defineQueue, defineTopic } from '@mq/core'
import Type from 'typebox'
import { z } from 'zod'

/** One module says what travels where; senders and handlers import it. The schema is TypeBox here: */
export const orders = defineQueue('orders', {
  schema: Type.Object({
    customer: Type.String({ minLength: 1 }),
    prices: Type.Array(Type.Number({ minimum: 0 }), { minItems: 1 }),
  }),
  ordered: true, // by key, which is the customer
})

/** and Zod here, as any validator with the Standard Schema interface would do. */
export const invoices = defineTopic('invoices', {
  schema: z.object({ customer: z.string(), total: z.number().positive(), currency: z.enum(['EUR', 'USD']) }),
})
