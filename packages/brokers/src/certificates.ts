import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { runCommand } from './command.ts'
import { locate, withoutDocker, type Requirement } from './sources/locate.ts'
import type { Source, StartOptions } from './types.ts'

const requirement: Requirement<'openssl'> = {
  label: 'OpenSSL',
  tools: ['openssl'],
  folders: ['/usr/bin'],
  debianPackages: ['openssl'],
}

/** Paths of PEM files. */
export interface Certificates {
  readonly caPath: string
  /** The server's own, signed by the authority above. */
  readonly certPath: string
  readonly keyPath: string
  /** For a client that must show one; signed by the same authority, common name `client`. */
  readonly clientCertPath: string
  readonly clientKeyPath: string
  /** An authority that signed nothing here: clients that trust only it must refuse. */
  readonly otherCaPath: string
}

/** Makes an authority, a server certificate for localhost and 127.0.0.1, and a client certificate. */
export async function makeCertificates(
  folder: string,
  flaw: NonNullable<StartOptions['certificate']>,
  sources: readonly Source[],
): Promise<Certificates> {
  const found = await locate(requirement, [...withoutDocker(sources), 'path'])
  if (found.kind !== 'native') throw new Error('openssl does not come from Docker')
  const { openssl } = found.tools
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const file = (name: string): string => path.join(folder, name)
  const run = (...args: string[]): Promise<string> => runCommand(openssl, args, { cwd: folder })

  const authority = async (name: string): Promise<void> => {
    const subject = ['-subj', `/CN=mq test authority ${name}`]
    const usage = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign']
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    await run(
      'req',
      '-x509',
      ...key,
      '-days',
      '3650',
      ...subject,
      ...usage,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
    )
  }
  const signed = async (name: string, extensions: string, days: number): Promise<void> => {
    writeFileSync(file(`${name}.ext`), extensions)
    // RSA and PKCS #8: every server and client at hand reads it.
    await run(
      'req',
      '-new',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
    )
    const by = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${name}.ext`]
    await run('x509', '-req', '-in', `${name}.csr`, ...by, '-days', String(days), '-out', `${name}.crt`)
  }

  await authority('ca')
  await authority('other-ca')
  const names = flaw === 'wrong-host' ? 'DNS:elsewhere.invalid' : 'DNS:localhost,IP:127.0.0.1,IP:::1'
  await signed(
    'server',
    `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`,
    flaw === 'expired' ? -1 : 3650,
  )
  await signed('client', 'extendedKeyUsage=clientAuth\n', 3650)
  return {
    caPath: file('ca.crt'),
    certPath: file('server.crt'),
    keyPath: file('server.key'),
    clientCertPath: file('client.crt'),
    clientKeyPath: file('client.key'),
    otherCaPath: file('other-ca.crt'),
  }
}
