/** Every broker that the example is shown on. A server that is needed is started by the example itself. */
const ALL = ['memory', 'redis', 'rabbitmq', 'kafka'] as const

/** Kafka with the slow suites: its server takes longer to come up than the pipeline to run. */
const QUICK = ['memory', 'redis', 'rabbitmq'] as const

const suites = process.env['MQ_SUITES']
export const BROKERS: readonly (typeof ALL)[number][] =
  suites === undefined || suites.includes('slow') ? ALL : QUICK
