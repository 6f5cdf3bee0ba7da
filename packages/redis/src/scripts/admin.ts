/**
 * Makes a queue or a subscription, or answers what is there.
 *
 * KEYS[1] base, KEYS[2] hash of the topic (subscriptions). ARGV: configuration as JSON, pattern, owner, then names and values for `meta`.
 * Answers [1, ''] when it was made, else [0, configuration in force, its pattern, its owner]. A queue that exists only because dead letters came,
 * or because a foreign client wrote to its stream, takes the settings.
 */
export const DECLARE = `
local base = KEYS[1]
local meta = base..'meta'
local known = redis.call('HMGET', meta, 'cfg', 'pattern', 'xo', 'implicit', 'p')
if known[5] and not known[4] then
  local q = load(base)
  -- Who only hears that it is another's must not keep it from ending with its owner, however often that is asked.
  if not known[3] or known[3] == ARGV[3] then touch(q) end
  -- Others may have deleted a stream, or its group: then no script could go on, and who only sends has no other way to mend that.
  for _, l in ipairs(lanes(q)) do
    local there = redis.pcall('XPENDING', base..'s:'..l, 'mq')
    if there.err and string.find(there.err, 'NOGROUP') then
      allow(q)
      group(base..'s:'..l)
      lapse(q, 's:'..l)
    end
  end
  return { 0, known[1] or '', known[2] or '', known[3] or '' }
end
group(base..'s:0')
-- Keys that one of the same name left behind would hold up its keys, or bring back its messages.
if not known[5] then unlink(base, false) end
redis.call('HDEL', meta, 'implicit')
redis.call('HSET', meta, 'cfg', ARGV[1], 'pattern', ARGV[2], 'gen', int(clock()), unpack(ARGV, 4))
if ARGV[3] ~= '' then redis.call('HSET', meta, 'xo', ARGV[3]) end
if redis.call('HEXISTS', meta, 'mp') == 1 then redis.call('ZADD', base..'ln', 0, '0') end
if KEYS[2] then redis.call('HSET', KEYS[2], '', '', string.match(base, ':g:(.+):$'), ARGV[2]) end
touch(load(base))
return { 1, '' }
`

/**
 * Deletes a queue, a subscription, or a topic with all its subscriptions. KEYS[1] base; ARGV: `q`, `s` or `t`, the publisher whose marks go too, and who
 * ends, when what is deleted goes with its owner.
 */
export const REMOVE = `
local base = KEYS[1]
local tag = string.match(base, '^(.-}:)')
-- Others may have deleted it meanwhile, or it has expired: what has its name now is not the owner's to take away.
if ARGV[3] and redis.call('HGET', base..'meta', 'xo') ~= ARGV[3] then return 0 end
-- What else lives under the tag may still be written to.
if ARGV[2] and (ARGV[1] == 't' or base == tag) then redis.call('UNLINK', tag..'tk:'..ARGV[2], tag..'tk:'..ARGV[2]..':r') end
if ARGV[1] == 't' then
  for _, name in ipairs(redis.call('HKEYS', base..'topic')) do
    if name ~= '' then unlinkAll(tag..'g:'..name..':') end
  end
  redis.call('UNLINK', base..'topic')
  return 1
end
unlinkAll(base)
if ARGV[1] == 's' then redis.call('HDEL', tag..'topic', string.match(base, ':g:(.+):$')) end
return 1
`

/** How many are ready. KEYS[1] base; nil: no such queue. Expired ones are swept as far as one call may take, the others left out. */
export const SIZE = `
local base = KEYS[1]
local q = load(base)
if not q then
  if redis.call('EXISTS', base..'s:0') == 0 then return false end
  q = loadOrMake(base)
end
local now = clock()
promote(q, now, 1000)
takeBack(q)
if redis.call('EXISTS', base..'x', base..'kx') > 0 then sweep(q, now, 1000) end
local n = readyCount(q) - expiredCount(q, now)
if q.woken then wake(q) end
tidy(now)
return math.max(n, 0)
`

/**
 * Removes what is ready or delayed, about 1000 entries a call; leased ones stay. KEYS[1] base. ARGV: where to go on among the ordering keys (`0` at the
 * beginning). Answers [removed, 1 when more is left, where to go on]; nil: no such queue. Not XTRIM: it would leave leases without an entry.
 */
export const PURGE = `
local base = KEYS[1]
local q = load(base)
if not q then
  if redis.call('EXISTS', base..'s:0') == 0 then return false end
  q = loadOrMake(base)
end
takeBack(q)
local n = 0
local function waiting() return tonumber(redis.call('HGET', base..'meta', 'wait') or '0') end
-- What waits behind a key goes first, in one piece: else each would come forward for the one before it.
if q.od and waiting() > 0 then
  local page = redis.call('HSCAN', base..'o', ARGV[1], 'COUNT', 500)
  for i = 1, #page[2], 2 do
    local list = base..'k:'..page[2][i]
    local count = redis.call('LLEN', list)
    -- Their bytes have to be counted, and so looked at.
    if q.mb then count = math.min(count, math.max(0, 1000 - n)) end
    if count > 0 then
      if q.mb then
        for _, packed in ipairs(redis.call('LPOP', list, count)) do addBytes(q, -bodySize(cmsgpack.unpack(packed)[3])) end
      else
        redis.call('UNLINK', list)
      end
      n = n + count
      redis.call('HINCRBY', base..'meta', 'wait', -count)
    end
  end
  if waiting() <= 0 then redis.call('UNLINK', base..'kx') end
  -- Keys that had no turn are on this page.
  if q.mb and n >= 1000 then return { n, 1, ARGV[1] } end
  if page[1] ~= '0' then return { n, 1, page[1] } end
end
for _, seq in ipairs(n < 1000 and redis.call('ZRANGE', base..'d', 0, 999 - n) or {}) do
  local packed = redis.call('HGET', base..'dm', seq)
  local key = packed and q.od and cmsgpack.unpack(packed)[2] or ''
  redis.call('ZREM', base..'d', seq)
  redis.call('HDEL', base..'dm', seq)
  advance(q, key, 'd:'..seq)
  n = n + 1
end
for _, l in ipairs(lanes(q)) do
  local key = base..'s:'..l
  if n < 1000 and redis.call('EXISTS', key) == 1 then
    local last, es = lastDelivered(key), nil
    -- Few at a time: they come with their bodies.
    repeat
      es = redis.call('XRANGE', key, '('..last, '+', 'COUNT', math.min(10, 1000 - n))
      for _, e in ipairs(es) do
        remove(q, l, e[1], e[2])
        advance(q, field(e[2], 'key') or '', l..':'..e[1])
      end
      n = n + #es
    until #es == 0 or n >= 1000
  end
end
local more = redis.call('ZCARD', base..'d') + waiting()
for _, l in ipairs(lanes(q)) do
  local key = base..'s:'..l
  if redis.call('EXISTS', key) == 1 and #redis.call('XRANGE', key, '('..lastDelivered(key), '+', 'COUNT', 1) > 0 then more = 1 end
end
if q.woken then wake(q) end
return { n, more > 0 and 1 or 0, '0' }
`

/**
 * Looks at what waits: what may be received, then what waits behind each key, key by key in the order of their bytes. KEYS[1] base. ARGV: lane and
 * stream id, or `k` and `place:key`, after which to go on (`` at the beginning), how many.
 * Answers [entries, where to go on when it stopped amid expired ones, else ``], with entries as [lane, stream id, fields, 1] or [`k`, place behind
 * the key, fields, 1]; nil: no such queue.
 */
export const BROWSE = `
local base = KEYS[1]
local q = load(base)
if not q then
  if redis.call('EXISTS', base..'s:0') == 0 then return false end
  q = loadOrMake(base)
end
takeBack(q)
local now = clock()
local most, out, reached = tonumber(ARGV[3]), {}, ARGV[1] == ''
local expired, stopped = 0, ''
local behind, place, of = ARGV[1] == 'k', 0, ''
if behind then
  local at, key = string.match(ARGV[2], '^(%d+):(.*)$')
  place, of = at + 1, key
end
-- The next 1000 keys from this one on, in order, and whether there may be more. Sorting all of them would take far longer.
local function nextKeys(first)
  local keys, last = {}, nil
  for _, key in ipairs(redis.call('HKEYS', base..'o')) do
    if key >= first and (not last or key < last) then
      keys[#keys + 1] = key
      if #keys == 2000 then
        table.sort(keys)
        last = keys[1000]
        for i = 2000, 1001, -1 do keys[i] = nil end
      end
    end
  end
  table.sort(keys)
  return keys, last
end
for _, l in ipairs(behind and {} or lanes(q)) do
  local key = base..'s:'..l
  local from = nil
  if reached then from = '0-0' elseif l == ARGV[1] then from, reached = ARGV[2], true
  elseif tonumber(l) < tonumber(ARGV[1]) then from, reached = '0-0', true end
  if from and #out < most and stopped == '' and redis.call('EXISTS', key) == 1 then
    local last = lastDelivered(key)
    local a, b = string.match(from, '(%d+)-(%d+)')
    local c, d = string.match(last, '(%d+)-(%d+)')
    a, b, c, d = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
    if c > a or (c == a and d > b) then from = last end
    while #out < most and stopped == '' do
      local es = redis.call('XRANGE', key, '('..from, '+', 'COUNT', most - #out)
      if #es == 0 then break end
      for _, e in ipairs(es) do
        from = e[1]
        local exp = decimal(field(e[2], 'expires-at'))
        if exp == 0 or exp > now then out[#out + 1] = { l, e[1], e[2], 1 } else expired = expired + 1 end
      end
      if expired >= MOST_EXPIRED then stopped = l..':'..from end
    end
  end
end
if q.od and #out < most and stopped == '' and tonumber(redis.call('HGET', base..'meta', 'wait') or '0') > 0 then
  local keys, last = nextKeys(of)
  for at, key in ipairs(keys) do
    local from = key == of and place or 0
    while #out < most and stopped == '' do
      local waiting = redis.call('LRANGE', base..'k:'..key, from, from + most - #out - 1)
      if #waiting == 0 then break end
      for i, packed in ipairs(waiting) do
        local u = cmsgpack.unpack(packed)
        if u[2] == 0 or u[2] > now then out[#out + 1] = { 'k', int(from + i - 1), u[3], 1 } else expired = expired + 1 end
      end
      from = from + #waiting
      if expired >= MOST_EXPIRED then stopped = 'k:'..int(from - 1)..':'..key end
    end
    if at == #keys and last and #out < most and stopped == '' then stopped = 'k:'..int(math.max(from, 1) - 1)..':'..key end
  end
end
if q.woken then wake(q) end
return { out, stopped }
`
