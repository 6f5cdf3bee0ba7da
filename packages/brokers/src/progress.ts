/** A line about a slow step. On stderr: stdout belongs to what commands answer. */
export function progress(message: string): void {
  process.stderr.write(`[brokers] ${message}\n`)
}
