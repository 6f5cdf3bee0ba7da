export { encryption } from './encryption.ts'
export { createCodecs, type CodecSettings } from './create-codecs.ts'
export { recordCodecs, type RecordCodec, type RecordCodecs } from './record-codecs.ts'
