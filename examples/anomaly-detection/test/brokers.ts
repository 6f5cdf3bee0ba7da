/** Every broker that the example is shown on. A server that is needed is started by the example itself. */
const ALL = ['memory', 'redis', 'rabbitmq', 'kafka'] as const

/** RabbitMQ and Kafka with the slow suites: their servers take longer to come up than the pipeline to run. */
const QUICK = ['memory', 'redis'] as const

const suites = process.env['MQ_SUITES']
export const BROKERS: readonly (typeof ALL)[number][] =
  suites === undefined || suites.includes('slow') ? ALL : QUICK
