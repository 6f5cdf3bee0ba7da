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
  __proto__x: 'constructor',
  constructor: 'toString',
  body: 'a header called body',
  id: 'a header called id',
}

/** Every byte value, no text in any encoding, and longer than 64 KiB. */
export const everyByte: Uint8Array = Uint8Array.from({ length: 257 * 256 }, (_, i) => i % 256)
