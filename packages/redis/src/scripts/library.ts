/**
 * Functions shared by the scripts, put in front of each that needs them.
 *
 * Keys below a queue's base: `meta` settings and counters, `s:<lane>` streams of ready and leased entries (group `mq`), `ln` the lanes of
 * a queue with priorities, `d`/`dm` delayed messages by due time, `x` expiry index of entries, `o` key → entry that stands for it and
 * `k:<key>` those waiting behind it (`kx` their expiry), `w` one-entry stream that wakes blocked receivers, `dd:*` deduplication, `tk:*` publishers.
 *
 * In `meta`: `cfg` the settings as JSON, `pattern`, `nm` and `sb` names, `gen` when it was made, `implicit` (nobody declared it), `p` plain, `ml`, `mb` and
 * `ov` limits, `mp` priorities, `od` order, `dw` deduplication window, `mt` ttl, `dl` base of the dead-letter queue, `ex` life, `ad` autoDelete, `xo` owner;
 * counters: `wait` messages behind their keys, `by` bytes ready, `seq` delayed ones, `lm` least lease, `at:<lane>` where the look at the leases goes on.
 *
 * A message inside Lua is `{ pr, key, exp, fields, holds }`: priority, ordering key, absolute expiry (0: none), flat stream fields, and
 * whether it holds its key already (a retry of an ordered queue keeps it blocked).
 *
 * A script that ends with an error undoes nothing. So whatever moves a message copies it before it takes it out.
 */
export const LIBRARY = `
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
-- Values of one entry: unpack takes no more than 8,000, and an error halfway undoes nothing. A foreign client may write wider ones.
local WIDEST = 7900
-- Expired ones that one call passes over: any number may lie before what it looks for, and all others wait for it to end.
local MOST_EXPIRED = 500
-- Bodies that one call copies.
local MOST_BYTES = 8 * 1024 * 1024
local function int(n) return string.format('%.0f', n) end
local function number(v) return v and tonumber(v) or nil end

-- A stream with our group. First of all writes: a key of another type must stop a script before it has changed anything.
local function group(key)
  local r = redis.pcall('XGROUP', 'CREATE', key, 'mq', '0', 'MKSTREAM')
  if type(r) == 'table' and r.err and not string.find(r.err, 'BUSYGROUP') then error(r) end
end

local function load(base)
  local m = redis.call('HMGET', base..'meta', 'p', 'ml', 'mb', 'ov', 'mp', 'od', 'dw', 'dl', 'gen', 'mt', 'nm', 'sb', 'ex', 'ad')
  if not m[1] then return nil end
  return { base = base, plain = m[1] == '1', ml = number(m[2]), mb = number(m[3]), drop = m[4] == 'd', mp = number(m[5]),
    od = m[6] == '1', dw = number(m[7]), dl = m[8] or '', gen = m[9] or '', mt = number(m[10]), nm = m[11] or '', sb = m[12] or '',
    ex = number(m[13]), ad = m[14] == '1' }
end

-- Acknowledges nothing, but where memory is short a script whose first write is allowed may go on writing.
local function allow(q) redis.call('XACK', q.base..'s:0', 'mq', '0-0') end

-- The queue, made on the spot when it takes dead letters without having been declared, or when a foreign client has made its stream.
local function loadOrMake(base, name)
  local q = load(base)
  if q then return q end
  allow({ base = base })
  group(base..'s:0')
  redis.call('HSET', base..'meta', 'p', '1', 'implicit', '1', 'nm', name or '', 'gen', int(clock()))
  return load(base)
end

local function lanes(q)
  if not q.mp then return { '0' } end
  return redis.call('ZREVRANGE', q.base..'ln', 0, -1)
end

local function bodySize(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'body' then return #fields[i + 1] end
  end
  return 0
end

local function field(fields, name)
  for i = #fields - 1, 1, -2 do
    if fields[i] == name then return fields[i + 1] end
  end
  return nil
end

-- A number of a field, which a foreign client may have written: read as the adapter reads it (wire.ts), 0 where it is none.
local MOST = 999999999999999
local function decimal(text)
  if text and #text <= 15 and string.find(text, '^%d+$') then return tonumber(text) end
  return 0
end
-- What becomes of it when so many are added: a number that is read as one.
local function plus(text, n) return math.min(decimal(text) + n, MOST) end

-- What a message is inside Lua, from fields that lie in a stream.
local function asMessage(fields, key, holds)
  return { pr = math.min(decimal(field(fields, 'priority')), 255), key = key, exp = decimal(field(fields, 'expires-at')), fields = fields, holds = holds }
end

-- A copy of the fields without some names, and with others set at the end.
local function changed(fields, without, with)
  local out = {}
  for i = 1, #fields, 2 do
    local name = fields[i]
    if not without[name] and with[name] == nil then
      out[#out + 1] = name
      out[#out + 1] = fields[i + 1]
    end
  end
  for name, value in pairs(with) do
    out[#out + 1] = name
    out[#out + 1] = value
  end
  return out
end

local function readyCount(q)
  local n = tonumber(redis.call('HGET', q.base..'meta', 'wait') or '0')
  for _, l in ipairs(lanes(q)) do
    local key = q.base..'s:'..l
    local length = redis.call('XLEN', key)
    if length > 0 then n = n + length - redis.call('XPENDING', key, 'mq')[1] end
  end
  return n
end

-- What a foreign client added was never counted, and is no reason to count less later.
local function addBytes(q, n)
  if q.mb and n ~= 0 and redis.call('HINCRBY', q.base..'meta', 'by', n) < 0 then redis.call('HSET', q.base..'meta', 'by', '0') end
end

-- A key that came into being after its queue was last used ends with it.
local function lapse(q, ...)
  if not q.ex then return end
  q.left = q.left or redis.call('PTTL', q.base..'meta')
  if q.left <= 0 then return end
  for _, name in ipairs({ ... }) do redis.call('PEXPIRE', q.base..name, q.left, 'NX') end
end

local function wake(q)
  if q.plain then return end
  redis.call('XADD', q.base..'w', 'MAXLEN', '1', '*', 'e', '1')
  lapse(q, 'w')
  q.woken = false
end

-- Base → a queue that was given what expires, and how many.
local expiring = {}

local function willExpire(q)
  local known = expiring[q.base]
  expiring[q.base] = { q, known and known[2] + 1 or 1 }
end

-- Into its lane, whatever its key.
local function stand(q, m)
  local l = '0'
  if q.mp then
    l = int(math.min(m.pr, q.mp))
    if not redis.call('ZSCORE', q.base..'ln', l) then
      group(q.base..'s:'..l)
      redis.call('ZADD', q.base..'ln', l, l)
      lapse(q, 'ln', 's:'..l)
    end
  end
  local id = redis.call('XADD', q.base..'s:'..l, '*', unpack(m.fields))
  if m.exp > 0 then
    redis.call('ZADD', q.base..'x', m.exp, l..':'..id)
    willExpire(q)
  end
  if q.od and m.key ~= '' then redis.call('HSET', q.base..'o', m.key, l..':'..id) end
  lapse(q, 'x', 'o')
  q.woken = true
end

-- Ready: into its lane, or behind the one that stands for its key.
local function put(q, m)
  if q.mb then addBytes(q, bodySize(m.fields)) end
  if q.od and m.key ~= '' and not m.holds and redis.call('HEXISTS', q.base..'o', m.key) == 1 then
    local seq = 0
    if m.exp > 0 then
      seq = redis.call('HINCRBY', q.base..'meta', 'seq', 1)
      redis.call('ZADD', q.base..'kx', m.exp, int(seq)..':'..m.key)
      willExpire(q)
    end
    redis.call('RPUSH', q.base..'k:'..m.key, cmsgpack.pack({ m.pr, m.exp, m.fields, seq }))
    redis.call('HINCRBY', q.base..'meta', 'wait', 1)
    lapse(q, 'k:'..m.key, 'kx')
    return
  end
  stand(q, m)
end

-- One, unpacked, no longer waits behind its key.
local function leaveKey(q, key, u)
  redis.call('HINCRBY', q.base..'meta', 'wait', -1)
  if u[2] > 0 then redis.call('ZREM', q.base..'kx', int(u[4] or 0)..':'..key) end
end

-- The entry \`ref\` of a key is gone: the next one stands for it.
local function advance(q, key, ref)
  if not q.od or key == '' or redis.call('HGET', q.base..'o', key) ~= ref then return end
  local packed = redis.call('LINDEX', q.base..'k:'..key, 0)
  if packed then
    local u = cmsgpack.unpack(packed)
    stand(q, { pr = u[1], key = key, exp = u[2], fields = u[3] })
    redis.call('LPOP', q.base..'k:'..key)
    leaveKey(q, key, u)
  else
    redis.call('HDEL', q.base..'o', key)
  end
end

local function postpone(q, m, due)
  local seq = string.format('%016.0f', redis.call('HINCRBY', q.base..'meta', 'seq', 1))
  if q.od and m.key ~= '' and m.holds then redis.call('HSET', q.base..'o', m.key, 'd:'..seq) end
  redis.call('HSET', q.base..'dm', seq, cmsgpack.pack({ m.pr, m.key, m.exp, m.fields, m.holds and 1 or 0 }))
  redis.call('ZADD', q.base..'d', due, seq)
  lapse(q, 'd', 'dm')
  if redis.call('ZRANGE', q.base..'d', 0, 0)[1] == seq then q.woken = true end
end

-- A queue with x-expires lives on while somebody uses it; ones with an owner or auto-delete while their heartbeat goes on. There may be a key for
-- each of its ordering keys: so it gets a quarter more than it is owed, and nothing until that is used up.
local function touch(q)
  if not q.ex or redis.call('PTTL', q.base..'meta') > q.ex then return end
  local b, life = q.base, math.ceil(q.ex * 1.25)
  for _, name in ipairs({ 'meta', 'ln', 'd', 'dm', 'x', 'kx', 'o', 'w', 'c' }) do redis.call('PEXPIRE', b..name, life) end
  for _, l in ipairs(lanes(q)) do redis.call('PEXPIRE', b..'s:'..l, life) end
  if q.od then
    for _, key in ipairs(redis.call('HKEYS', b..'o')) do redis.call('PEXPIRE', b..'k:'..key, life) end
  end
end

-- All keys of a queue, whether it has settings or they are gone; \`stream\` false: but for its first lane.
local function unlink(base, stream)
  local names = { base..'meta', base..'ln', base..'d', base..'dm', base..'x', base..'kx', base..'w', base..'c', base..'o' }
  if stream then names[#names + 1] = base..'s:0' end
  for _, l in ipairs(redis.call('ZRANGE', base..'ln', 0, -1)) do
    if l ~= '0' then names[#names + 1] = base..'s:'..l end
  end
  for _, key in ipairs(redis.call('HKEYS', base..'o')) do redis.call('UNLINK', base..'k:'..key) end
  redis.call('UNLINK', unpack(names))
end
-- With what is parked for its dead-letter queue.
local function unlinkAll(base)
  unlink(base, true)
  unlink(base..'parked:', true)
end
`
