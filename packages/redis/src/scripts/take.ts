/**
 * What a receiver needs beside plain reading: promotes what is due, takes over leases that ran out, and reads the lanes of a queue that is not
 * plain (priorities, order, byte limit).
 *
 * KEYS[1] base. ARGV: consumer, how many at most, whether to look at the leases (`1`), whether it counts as a consumer (`1`), as in the open script. A
 * plain queue is not read here.
 * Answers [server time, due time of the next delayed message or 0, last id of the wake stream, entries, 1 when it stopped amid expired ones, 1 when the
 * queue is plain: it may have been made again as another kind] with entries as [lane, stream id, fields, deliveries]; nil when the queue does not exist.
 *
 * A consumer's name ends in its lease, in ms: idle time is compared with the lease of the owner, never with that of who comes to take over.
 */
export const TAKE = `
local q = load(KEYS[1])
if not q then return false end
local consumer, most, read, idle = ARGV[1], tonumber(ARGV[2]), not q.plain, 0
if ARGV[3] == '1' then
  idle = tonumber(redis.call('HGET', q.base..'meta', 'lm') or '30000')
  -- Those who came meanwhile did not know of it. Not where memory is short, which is no reason to stop reading.
  if leaseOf(consumer) < idle then redis.pcall('HSET', q.base..'meta', 'lm', int(leaseOf(consumer))) end
end
local now = clock()
local out = {}
touch(q)
-- An autoDelete queue that others deleted and made again knows nothing of those who read on. As above.
if ARGV[4] == '1' and q.ad and not redis.call('ZSCORE', q.base..'c', consumer) then
  redis.pcall('ZADD', q.base..'c', now, consumer)
  if not q.ex then redis.pcall('HSET', q.base..'meta', 'ex', '60000') end
  lapse(q, 'c')
end
promote(q, now, 500)
if redis.call('EXISTS', q.base..'x', q.base..'kx') > 0 then sweep(q, now, 100) end

-- Idle for the least lease are also those whose owners have longer ones, any number of them: the next look goes on where this one ended.
local function reclaim(l, key)
  local meta, at = q.base..'meta', 'at:'..l
  local from = redis.call('HGET', meta, at)
  local last = from
  for _ = 1, 10 do
    local page = redis.call('XPENDING', key, 'mq', 'IDLE', idle, last and '('..last or '-', '+', 100)
    for _, p in ipairs(page) do
      if p[3] >= leaseOf(p[2]) then
        if #out >= most then return end
        local e = redis.call('XCLAIM', key, 'mq', consumer, 0, p[1])[1]
        if e and e[2] then out[#out + 1] = { l, e[1], e[2], p[4] + 1 } end
      end
      last = p[1]
    end
    if #page < 100 then
      last = false
      break
    end
  end
  -- As above.
  if last then redis.pcall('HSET', meta, at, last) elseif from then redis.call('HDEL', meta, at) end
end

-- Delivered, and neither pending nor deleted: XGROUP DELCONSUMER drops what its consumer holds. Found once it is the oldest.
local function adopt(l, key)
  if #out >= most then return end
  local p = redis.call('XPENDING', key, 'mq', '-', '+', 1)[1]
  local last = p and '('..p[1] or lastDelivered(key)
  for _, e in ipairs(redis.call('XRANGE', key, '-', last, 'COUNT', most - #out)) do
    redis.call('XCLAIM', key, 'mq', consumer, 0, e[1], 'RETRYCOUNT', 2, 'FORCE', 'JUSTID')
    out[#out + 1] = { l, e[1], e[2], 2 }
  end
end

if idle > 0 and most > 0 then
  for _, l in ipairs(lanes(q)) do
    local key = q.base..'s:'..l
    if redis.call('EXISTS', key) == 1 then
      reclaim(l, key)
      adopt(l, key)
    end
  end
end

local expired = 0
if read then
  for _, l in ipairs(lanes(q)) do
    local key = q.base..'s:'..l
    while #out < most and expired < MOST_EXPIRED do
      local r = redis.call('XREADGROUP', 'GROUP', 'mq', consumer, 'COUNT', most - #out, 'STREAMS', key, '>')
      if not r or #r[1][2] == 0 then break end
      for _, e in ipairs(r[1][2]) do
        addBytes(q, -bodySize(e[2]))
        local exp = decimal(field(e[2], 'expires-at'))
        if exp > 0 and exp <= now then
          expired = expired + 1
          bury(q, e[2], 'expired', now)
          redis.call('XACK', key, 'mq', e[1])
          redis.call('XDEL', key, e[1])
          redis.call('ZREM', q.base..'x', l..':'..e[1])
          advance(q, field(e[2], 'key') or '', l..':'..e[1])
        else
          out[#out + 1] = { l, e[1], e[2], 1 }
        end
      end
    end
  end
end

local nextDue = redis.call('ZRANGE', q.base..'d', 0, 0, 'WITHSCORES')[2] or '0'
local last = '0-0'
if read then
  local w = redis.call('XREVRANGE', q.base..'w', '+', '-', 'COUNT', 1)[1]
  if w then last = w[1] end
end
if q.woken then wake(q) end
tidy(now)
return { now, nextDue, last, out, expired < MOST_EXPIRED and 0 or 1, q.plain and 1 or 0 }
`
