import { type Buffer } from 'node:buffer'

/** What the head of a value says: bytes that follow it, values that follow it. */
interface Head {
  readonly bytes: number
  readonly values: number
}

/**
 * Walks over one MessagePack value without building it: throws when it ends early, has bytes behind it, or claims more elements than bytes
 * are left. A decoder reserves memory for what an array claims, so five bytes could cost gigabytes. Answers whether an integer beyond
 * 2^53 occurs, and whether bytes or an extension do. https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export function checkClaims(bytes: Buffer): { bigIntegers: boolean; bytesWithin: boolean } {
  let at = 0
  let pending = 1
  let bigIntegers = false
  let bytesWithin = false
  const read = (size: 1 | 2 | 4): number => {
    if (at + size > bytes.length) throw new RangeError('MessagePack ends early')
    const value = bytes.readUIntBE(at, size)
    at += size
    return value
  }
  const sized = (size: 1 | 2 | 4, extra = 0): Head => ({ bytes: read(size) + extra, values: 0 })
  const holding = (values: number): Head => ({ bytes: 0, values })
  const plain = (length: number): Head => ({ bytes: length, values: 0 })

  const head = (type: number): Head => {
    if ((type >= 0xc4 && type <= 0xc9) || (type >= 0xd4 && type <= 0xd8)) bytesWithin = true
    if (type <= 0x7f || type >= 0xe0) return plain(0)
    if (type <= 0x8f) return holding(2 * (type & 0x0f))
    if (type <= 0x9f) return holding(type & 0x0f)
    if (type <= 0xbf) return plain(type & 0x1f)
    switch (type) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return plain(0)
      case 0xc4:
      case 0xd9:
        return sized(1)
      case 0xc5:
      case 0xda:
        return sized(2)
      case 0xc6:
      case 0xdb:
        return sized(4)
      case 0xc7:
        return sized(1, 1)
      case 0xc8:
        return sized(2, 1)
      case 0xc9:
        return sized(4, 1)
      case 0xcc:
      case 0xd0:
        return plain(1)
      case 0xcd:
      case 0xd1:
        return plain(2)
      case 0xca:
      case 0xce:
      case 0xd2:
        return plain(4)
      case 0xcb:
        return plain(8)
      case 0xcf:
      case 0xd3: {
        if (at + 8 > bytes.length) throw new RangeError('MessagePack ends early')
        const value = type === 0xcf ? bytes.readBigUInt64BE(at) : bytes.readBigInt64BE(at)
        bigIntegers ||= !Number.isSafeInteger(Number(value))
        return plain(8)
      }
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return plain(1 + (1 << (type - 0xd4)))
      case 0xdc:
        return holding(read(2))
      case 0xdd:
        return holding(read(4))
      case 0xde:
        return holding(2 * read(2))
      case 0xdf:
        return holding(2 * read(4))
      default:
        throw new RangeError(`no MessagePack: type 0x${type.toString(16)} does not exist`)
    }
  }

  while (pending > 0) {
    const { bytes: length, values } = head(read(1))
    at += length
    pending += values - 1
    if (at + pending > bytes.length)
      throw new RangeError('MessagePack ends early, or claims more than it holds')
  }
  if (at !== bytes.length)
    throw new RangeError(`MessagePack is followed by ${bytes.length - at} bytes that belong to nothing`)
  return { bigIntegers, bytesWithin }
}
