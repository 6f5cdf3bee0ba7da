/**
 * Settles entries one by one, each fenced by its consumer and its delivery count, and moves them where they belong in the same step.
 *
 * KEYS[1] base. ARGV: operation, consumer, delay in ms (retry) or base of the dead-letter queue (dead), then per entry: lane,
 * stream id, delivery count, ordering key, number of further fields and these (dead).
 * Operations: `ack`, `release` (back uncounted), `retry` (back with one attempt more), `dead`, `take` (a browser removes what nobody holds).
 * Answers [server time, per entry 1 settled, 0 lost, -1 the dead-letter queue is full].
 */
export const SETTLE = `
local base, op, consumer = KEYS[1], ARGV[1], ARGV[2]
local q = load(base)
local now = clock()
local out = { now }
local dead = nil
local i = 4
while i <= #ARGV do
  local l, id, count, key, extra = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], tonumber(ARGV[i + 4])
  local stream, ref, status = base..'s:'..l, l..':'..ARGV[i + 1], 0
  local mine = false
  if q and redis.call('EXISTS', stream) == 1 then
    if op == 'take' then
      mine = #redis.call('XPENDING', stream, 'mq', id, id, 1) == 0
    else
      mine = heldBy(stream, id, consumer) == count
    end
  end
  local e = mine and redis.call('XRANGE', stream, id, id)[1] or nil
  if e then
    status = 1
    if op == 'take' then
      remove(q, l, id, e[2])
      advance(q, key, ref)
    elseif op == 'ack' then
      redis.call('XACK', stream, 'mq', id)
      redis.call('XDEL', stream, id)
      redis.call('ZREM', base..'x', ref)
      advance(q, key, ref)
    elseif op == 'dead' then
      -- XACK comes first where memory is short: a script whose first write is allowed may go on writing.
      redis.call('XACK', stream, 'mq', id)
      dead = dead or loadOrMake(ARGV[3])
      local why = {}
      for f = i + 5, i + 4 + extra, 2 do why[ARGV[f]] = ARGV[f + 1] end
      if inter(dead, e[2], why, now) then
        redis.call('XDEL', stream, id)
        redis.call('ZREM', base..'x', ref)
        advance(q, key, ref)
      else
        redis.call('XCLAIM', stream, 'mq', consumer, 0, id, 'RETRYCOUNT', count, 'FORCE', 'JUSTID')
        status = -1
      end
    else
      local with = {}
      if op == 'retry' then
        with['attempt'] = int((tonumber(field(e[2], 'attempt') or '0') or 0) + 1)
        with['mq-first-failed-at'] = field(e[2], 'mq-first-failed-at') or int(now)
      else
        local earlier = (tonumber(field(e[2], 'redeliveries') or '0') or 0) + count - 1
        if earlier > 0 then with['redeliveries'] = int(earlier) end
      end
      redis.call('XACK', stream, 'mq', id)
      redis.call('XDEL', stream, id)
      redis.call('ZREM', base..'x', ref)
      local fields = changed(e[2], op == 'retry' and { redeliveries = true } or {}, with)
      local m = { pr = tonumber(field(fields, 'priority') or '0') or 0, key = key,
        exp = tonumber(field(fields, 'expires-at') or '0') or 0, fields = fields,
        holds = key ~= '' and redis.call('HGET', base..'o', key) == ref }
      local delay = op == 'retry' and tonumber(ARGV[3]) or 0
      if delay > 0 then postpone(q, m, now + delay + 1) else put(q, m) end
    end
  elseif mine then
    -- Deleted underneath: nothing is left to settle.
    redis.call('XACK', stream, 'mq', id)
  end
  out[#out + 1] = status
  i = i + 5 + extra
end
if dead and dead.woken then wake(dead) end
if q and q.woken then wake(q) end
return out
`
