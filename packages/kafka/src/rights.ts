import type { ApiName } from './client.ts'
import { errorType } from './errors.ts'

const OF_TOPIC: Partial<Record<ApiName, string>> = {
  CreateTopics: 'Create',
  DeleteTopics: 'Delete',
  DeleteRecords: 'Delete',
  DescribeConfigs: 'DescribeConfigs',
  OffsetCommit: 'Read',
}
const OF_GROUP: Partial<Record<ApiName, string>> = {
  GroupCoordinator: 'Describe',
  DescribeGroups: 'Describe',
  OffsetFetch: 'Describe',
}

interface Args {
  readonly groupId?: string
  readonly groupIds?: readonly string[]
  readonly topics?: readonly (string | { readonly topic: string })[]
  readonly resources?: readonly { readonly name: string }[]
}

/** The same error; of a right that the user does not have it says which. */
export function namingRight<E>(error: E, right: string, of: string, names: readonly string[]): E {
  if (!/^(TOPIC|GROUP)_AUTHORIZATION_FAILED$/.test(errorType(error) ?? '')) return error
  const list = names.map((name) => `"${name}"`).join(', ')
  ;(error as Error).message = `not authorized: the user needs the right ${right} on the ${of} ${list}`
  return error
}

/** The same by the request that was refused. */
export function namingRightOf(error: unknown, api: ApiName, args: object): unknown {
  const { groupId, groupIds, topics = [], resources = [] } = args as Args
  // Of several topics each has an error of its own.
  for (const each of (error as { readonly errors?: readonly { readonly topic?: string }[] }).errors ?? [])
    namingRight(each, OF_TOPIC[api] ?? 'Describe', 'topic', [each.topic ?? ''])
  if (errorType(error) === 'GROUP_AUTHORIZATION_FAILED')
    return namingRight(error, OF_GROUP[api] ?? 'Read', 'group', groupIds ?? [groupId ?? ''])
  const names = [
    ...topics.map((each) => (typeof each === 'string' ? each : each.topic)),
    ...resources.map(({ name }) => name),
  ]
  return namingRight(error, OF_TOPIC[api] ?? 'Describe', 'topic', names)
}
