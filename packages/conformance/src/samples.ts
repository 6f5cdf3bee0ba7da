/** Values of every kind that is damaged on some way. */

function ascii(): string {
  let text = ''
  for (let code = 0x20; code < 0x7f; code++) text += String.fromCharCode(code)
  return text
}

/** Names and values of headers that mean something somewhere, or are hard to write down. */
export const edgeHeaders: Readonly<Record<string, string>> = {
  'a/b/c': 'slash/es',
  '../up': '../../etc/passwd',
  'with space': 'a  b ',
  'qu"ot\'ed': '"\'`',
  'ALL~!@#$%^&*()': ascii(),
  unicode: 'ü 漢 👩‍👧',
  lines: 'a\r\nb\tc\u0000d',
  empty: '',
  // Text that would be something else to whoever guesses.
  number: '007',
  fraction: '1.0',
  flag: 'true',
  nothing: 'null',
  json: '{ "a" : [1.0] }',
  '42': 'a name of digits',
  'X-Request-Id': 'a name that begins as those of brokers do',
  // Two characters that could be written as one.
  decomposed: 'e\u0301',
  __proto__x: 'constructor',
  constructor: 'toString',
  body: 'a header called body',
  id: 'a header called id',
}

/** Every byte value, no text in any encoding, and longer than 64 KiB; at its ends what is taken off text: a byte order mark, white space and zeros. */
export const everyByte: Uint8Array = Buffer.concat([
  Buffer.from([0xef, 0xbb, 0xbf]),
  Uint8Array.from({ length: 257 * 256 }, (_, i) => i % 256),
  Buffer.from(' \r\n\0\0'),
])
