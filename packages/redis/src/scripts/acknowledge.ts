/**
 * Acknowledges entries of a plain queue. Until the earliest end of their leases nobody else can have taken one, so one comparison of the server's
 * clock fences them all: asking for the owner of each would cost more than the acknowledgement.
 *
 * KEYS[1] base. ARGV: the earliest end in ms of server time, whether some have an expiry (`1`), stream ids of lane 0.
 * Answers the server time when all are gone; [server time, per id 1 or 0] when some were not there; -1 when it came too late to tell,
 * or the queue is no plain one any more (nothing was changed: the settle script looks at each).
 */
export const ACKNOWLEDGE = `
local key = KEYS[1]..'s:0'
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if now >= tonumber(ARGV[1]) or redis.call('HGET', KEYS[1]..'meta', 'p') ~= '1' then return -1 end
local acked = redis.call('XACK', key, 'mq', unpack(ARGV, 3))
if ARGV[2] == '1' then
  for i = 3, #ARGV do redis.call('ZREM', KEYS[1]..'x', '0:'..ARGV[i]) end
end
if acked == #ARGV - 2 then
  redis.call('XDEL', key, unpack(ARGV, 3))
  return now
end
local out = { now }
for i = 3, #ARGV do out[#out + 1] = redis.call('XDEL', key, ARGV[i]) end
return out
`
