import { Buffer } from 'node:buffer'
import { hashTag } from './keys.ts'

export const SLOTS = 16_384

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc & 0xffff
})

/** The hash slot of a key: CRC-16/XMODEM of its hash tag. */
export function slotOf(key: string): number {
  let crc = 0
  for (const byte of Buffer.from(hashTag(key)))
    crc = ((crc << 8) ^ (TABLE[((crc >> 8) ^ byte) & 0xff] as number)) & 0xffff
  return crc % SLOTS
}
