/**
 * Settles entries one by one, each fenced by its consumer and its delivery count, and moves them where they belong in the same step.
 *
 * KEYS[1] base. ARGV: operation, consumer, delay in ms (retry) or base of the dead-letter queue (dead), then per entry: lane,
 * stream id, delivery count, ordering key, number of further fields and these (dead).
 * Operations: `ack`, `release` (back uncounted), `retry` (back with one attempt more), `dead`, `take` (a browser removes what nobody holds: lane `k`
 * and a place mean what waits behind that key, its further field the message's id).
 * Answers [server time, per entry 1 settled, 0 lost, -1 the dead-letter queue is full, -2 too many fields to move it (a foreign client's)].
 *
 * A script that ends with an error undoes nothing, so the copy is made before the entry is taken out: what fails leaves it leased.
 */
export const SETTLE = `
local base, op, consumer = KEYS[1], ARGV[1], ARGV[2]
local q = load(base)
local now = clock()
local out = { now }
local dead = nil
if op ~= 'ack' and op ~= 'take' then allow({ base = base }) end
if op == 'dead' then
  dead = loadOrMake(ARGV[3])
  redis.call('XLEN', ARGV[3]..'s:0')
end
local function takeOut(stream, id, ref)
  redis.call('XACK', stream, 'mq', id)
  redis.call('ZREM', base..'x', ref)
  return redis.call('XDEL', stream, id)
end
-- Out of those behind a key; those before it may have gone since. If it stands for its key by now: where.
local function takeWaiting(place, key, id)
  local list = base..'k:'..key
  local waiting = redis.call('LRANGE', list, 0, place)
  for n = #waiting, 1, -1 do
    local u = cmsgpack.unpack(waiting[n])
    local fields = u[3]
    if field(fields, 'id') == id then
      redis.call('LREM', list, 1, waiting[n])
      leaveKey(q, key, u)
      addBytes(q, -bodySize(fields))
      return true
    end
  end
  local l, at = string.match(redis.call('HGET', base..'o', key) or '', '^(%d+):(.+)$')
  local e = l and redis.call('XRANGE', base..'s:'..l, at, at)[1]
  if e and field(e[2], 'id') == id then return false, l, at end
  return false
end
local i = 4
while i <= #ARGV do
  local l, id, count, key, extra = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], tonumber(ARGV[i + 4])
  local status, mine = 0, false
  if l == 'k' and q then
    local taken, lane, at = takeWaiting(id, key, ARGV[i + 5])
    if taken then status = 1 end
    if lane then l, id = lane, at end
  end
  local stream, ref = base..'s:'..l, l..':'..id
  if l ~= 'k' and q and redis.call('EXISTS', stream) == 1 then
    if op == 'take' then
      mine = #redis.call('XPENDING', stream, 'mq', id, id, 1) == 0
    else
      mine = heldBy(stream, id, consumer) == count
    end
  end
  -- Whether it is there is told by taking it out, where its key says nothing: reading its body would cost more.
  local blind = mine and op == 'ack' and not q.od
  local e = mine and not blind and redis.call('XRANGE', stream, id, id)[1] or nil
  if blind then
    status = takeOut(stream, id, ref)
  elseif e then
    status = 1
    -- Its very bytes: the adapter reads one that is no UTF-8 as another.
    key = field(e[2], 'key') or ''
    if op == 'take' then
      remove(q, l, id, e[2])
      advance(q, key, ref)
    elseif op == 'ack' then
      takeOut(stream, id, ref)
      advance(q, key, ref)
    elseif op == 'dead' then
      local why = {}
      for f = i + 5, i + 4 + extra, 2 do why[ARGV[f]] = ARGV[f + 1] end
      if inter(dead, e[2], why, now) then
        takeOut(stream, id, ref)
        advance(q, key, ref)
      else
        status = -1
      end
    else
      local with = {}
      if op == 'retry' then
        with['attempt'] = int(plus(field(e[2], 'attempt'), 1))
        with['mq-first-failed-at'] = int(firstFailed(e[2], now))
      else
        local earlier = plus(field(e[2], 'redeliveries'), count - 1)
        if earlier > 0 then with['redeliveries'] = int(earlier) end
      end
      local fields = changed(e[2], op == 'retry' and { redeliveries = true } or {}, with)
      local m = asMessage(fields, key, key ~= '' and redis.call('HGET', base..'o', key) == ref)
      local delay = op == 'retry' and tonumber(ARGV[3]) or 0
      if #fields > WIDEST then
        status = -2
      else
        if delay > 0 then postpone(q, m, now + delay + 1) else put(q, m) end
        takeOut(stream, id, ref)
      end
    end
  elseif mine then
    -- Deleted underneath: nothing is left to settle, and its key goes on.
    redis.call('XACK', stream, 'mq', id)
    advance(q, key, ref)
  end
  out[#out + 1] = status
  i = i + 5 + extra
end
if dead and dead.woken then wake(dead) end
if q and q.woken then wake(q) end
tidy(now)
return out
`
