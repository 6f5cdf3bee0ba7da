/** 200 times "streamed ", by `zstd` 1.5 reading a pipe: the frame does not declare its size. */
export const STREAMED = 'streamed '.repeat(200)
export const STREAMED_ZSTD = Buffer.from('KLUv/QRYhQAASHN0cmVhbWVkIAEA/PIvRy5MU5s=', 'base64')

/** What Java's snappy library writes around blocks: magic, version 1, compatible with 1. */
export const XERIAL_HEADER = Buffer.from('82534e4150505900' + '00000001' + '00000001', 'hex')

export const utf8 = (text: string): Buffer => Buffer.from(text)
/** Bytes that do not compress, the same in every run. */
export function noise(length: number): Buffer {
  let state = 1
  return Buffer.from(Array.from({ length }, () => (state = (state * 48271) % 2147483647) & 255))
}
