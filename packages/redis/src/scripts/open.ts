/**
 * A consumer comes (ARGV[1] `open`), is still there (`beat`; without a name: the owner of an exclusive queue) or goes (`close`).
 *
 * KEYS[1] base. ARGV: operation, consumer, lease in ms, owner (the adapter, for exclusive queues), whether it counts as a consumer (`1`) for an autoDelete
 * queue: one that pulls now and then does not.
 * `open` answers nil (no such queue), 0 (another connection's), or [plain, least lease of its consumers, ms after which the queue goes when it hears no
 * `beat`, 0: never]; a stream that a foreign client has made is taken as a queue. `close` gives back up to 200 held entries and answers how many; 0: the consumer is gone.
 */
export const OPEN = `
local base, op, consumer = KEYS[1], ARGV[1], ARGV[2]
local q = load(base)

-- Consumers that hold nothing and have not read for ten of their leases crashed, most likely. One that did not is made again by its next read.
-- Answers the least lease of the others, which may be \`least\`.
local function forgetGone(key, least)
  for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', key, 'mq')) do
    local is = {}
    for i = 1, #c, 2 do is[c[i]] = c[i + 1] end
    local lease = tonumber(string.match(is.name, '%.(%d+)$'))
    if lease and is.pending == 0 and is.idle > 10 * lease then
      redis.call('XGROUP', 'DELCONSUMER', key, 'mq', is.name)
    elseif lease then
      least = math.min(least, lease)
    end
  end
  return least
end

if not q and op == 'open' and redis.call('EXISTS', base..'s:0') == 1 then q = loadOrMake(base) end
if not q then return op ~= 'open' and 0 or false end
local now = clock()
local owner = redis.call('HGET', base..'meta', 'xo')
if op == 'beat' then
  -- Its owner's heart: others may have deleted it, and made another.
  if consumer == '' and owner ~= ARGV[4] then return 0 end
  touch(q)
  if ARGV[5] == '1' and redis.call('HGET', base..'meta', 'ad') == '1' then
    -- Also where memory is short: who is not heard of for a minute counts as gone, and the queue goes with the last other one.
    allow(q)
    redis.call('ZADD', base..'c', now, consumer)
    lapse(q, 'c')
  end
  return 1
end
if op == 'open' then
  if owner and owner ~= ARGV[4] then return 0 end
  -- Who empties the queue is what helps where memory is short.
  allow(q)
  local least = tonumber(ARGV[3])
  for _, l in ipairs(lanes(q)) do
    group(base..'s:'..l)
    least = forgetGone(base..'s:'..l, least)
  end
  -- One that has not read yet says so itself when it does: in the take script.
  redis.call('HSET', base..'meta', 'lm', int(least))
  if ARGV[5] == '1' and redis.call('HGET', base..'meta', 'ad') == '1' then
    redis.call('ZADD', base..'c', now, consumer)
    if not q.ex then
      redis.call('HSET', base..'meta', 'ex', '60000')
      q.ex = 60000
    end
  end
  touch(q)
  lapse(q, 'c')
  for _, l in ipairs(lanes(q)) do lapse(q, 's:'..l) end
  return { q.plain and 1 or 0, least, q.ex or 0 }
end

-- Copied before it is taken out, as in the settle script, whose first write this is as well. What is too wide for a copy waits for its lease to end.
allow(q)
local moved, kept = 0, false
for _, l in ipairs(lanes(q)) do
  local key = base..'s:'..l
  if redis.call('EXISTS', key) == 1 then
    for _, p in ipairs(redis.call('XPENDING', key, 'mq', '-', '+', 200, consumer)) do
      if giveBack(q, l, p, 0) then moved = moved + 1 else kept = true end
    end
  end
end
if moved == 0 then
  -- What a consumer that is deleted still holds would never be delivered again.
  for _, l in ipairs(kept and {} or lanes(q)) do redis.pcall('XGROUP', 'DELCONSUMER', base..'s:'..l, 'mq', consumer) end
  if redis.call('ZREM', base..'c', consumer) == 1 then
    redis.call('ZREMRANGEBYSCORE', base..'c', '-inf', now - 60000)
    if redis.call('ZCARD', base..'c') == 0 then
      unlinkAll(base)
      if q.sb ~= '' then redis.call('HDEL', string.match(base, '^(.-}:)')..'topic', q.sb) end
    end
  end
elseif q.woken then
  wake(q)
end
return moved
`
