/**
 * Starts leases anew, each fenced: unfenced, a consumer that was stalled past its lease would take entries back from their new owner.
 *
 * KEYS[1] base. ARGV: consumer, then per entry: lane, stream id, delivery count. Answers [server time, per entry 1 renewed or 0 lost].
 */
export const RENEW = `
local out = { clock() }
for i = 2, #ARGV, 3 do
  local key, id = KEYS[1]..'s:'..ARGV[i], ARGV[i + 1]
  local ok = 0
  if redis.call('EXISTS', key) == 1 and heldBy(key, id, ARGV[1]) == tonumber(ARGV[i + 2]) then
    ok = #redis.call('XCLAIM', key, 'mq', ARGV[1], 0, id, 'JUSTID')
  end
  out[#out + 1] = ok
end
return out
`
