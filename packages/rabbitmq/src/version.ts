/** A server's version, as far as behaviour depends on it. */
export interface Version {
  readonly text: string
  /** Whether the server is this version or newer. */
  atLeast(major: number, minor?: number): boolean
}

export function versionOf(text: unknown): Version {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(String(text)) ?? []
  const [a, b] = [Number(major), Number(minor)]
  return {
    text: String(text),
    atLeast: (wantedMajor, wantedMinor = 0) => a > wantedMajor || (a === wantedMajor && b >= wantedMinor),
  }
}
