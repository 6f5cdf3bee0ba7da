/** Refuses what must not be merged: a note to oneself, and tests that hide other tests or themselves. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectFiles } from './lib/files.ts'
import { isMain, report } from './lib/main.ts'
import { root } from './lib/workspace.ts'

// Written in two halves, or this file would refuse itself.
const markers = new RegExp(`\\b(?:NO${'MERGE'}|FIX${'ME'})\\b`)
const hidden =
  /\b(?:it|test|describe)(?:\.concurrent)?\.(?:only|skip|todo|failing)\b|\b(?:fit|fdescribe|xit|xtest|xdescribe)\(/

const binary = /\.(?:png|jpe?g|gif|ico|woff2?|gz|tgz|zip|pem|bin|jar)$/

/** `path:line: what` for every offence in one file. */
export function markerProblems(path: string, text: string): string[] {
  const isTest = /(?:^|\/)test\/.*\.test\.ts$/.test(path)
  return text.split('\n').flatMap((line, index) => {
    const found = markers.exec(line) ?? (isTest ? hidden.exec(line) : null)
    return found ? [`${path}:${index + 1}: ${found[0]} must not be merged`] : []
  })
}

export function checkMarkers(base: string = root): string[] {
  return projectFiles(base)
    .filter((path) => !binary.test(path) && path !== 'pnpm-lock.yaml')
    .flatMap((path) => markerProblems(path, readFileSync(join(base, path), 'utf8')))
}

if (isMain(import.meta.url)) report('markers', checkMarkers())
