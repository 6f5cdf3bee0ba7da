/**
 * What a queue gives up by itself: messages that have expired, and those beyond its limits. Comes after the library, which it calls.
 */
export const LIMITS = `
local bury

local function measure(q)
  q.ready = readyCount(q)
  q.bytes = q.mb and tonumber(redis.call('HGET', q.base..'meta', 'by') or '0') or 0
  -- A foreign client took out what had been counted.
  if q.ready == 0 and q.bytes > 0 then
    redis.call('HSET', q.base..'meta', 'by', '0')
    q.bytes = 0
  end
end

-- Makes room for one more message of \`size\` bytes; false: the queue is full and refuses.
local function room(q, size, now)
  if not q.ml and not q.mb then return true end
  if q.mb and size > q.mb then return false end
  if q.ready == nil then measure(q) end
  while (q.ml and q.ready + 1 > q.ml) or (q.mb and q.bytes + size > q.mb) do
    if not q.swept then
      q.swept = true
      if q.sweep(q, now, 1000) > 0 then measure(q) end
    elseif not q.drop or not q.oldest(q, now) then
      return false
    end
  end
  return true
end

-- Takes an entry that nobody holds out of its queue.
local function remove(q, l, id, fields)
  redis.call('XDEL', q.base..'s:'..l, id)
  redis.call('ZREM', q.base..'x', l..':'..id)
  addBytes(q, -bodySize(fields))
end

-- The same for those that wait behind a key, as far as few of the others are before them.
local function sweepKeys(q, now, most)
  local members = redis.call('ZRANGEBYSCORE', q.base..'kx', '-inf', now, 'LIMIT', 0, most)
  local wanted, left = {}, {}
  for _, member in ipairs(members) do
    local seq, key = string.match(member, '^(%d+):(.*)$')
    wanted[seq] = true
    left[key] = (left[key] or 0) + 1
  end
  local gone, others, bytes = 0, 0, 0
  for key, count in pairs(left) do
    allow(q)
    local list, at = q.base..'k:'..key, 0
    repeat
      -- Few at a time: they come with their bodies.
      local page = redis.call('LRANGE', list, at, at + 9)
      for _, packed in ipairs(page) do
        local u = cmsgpack.unpack(packed)
        bytes = bytes + #packed
        if wanted[int(u[4] or 0)] then
          bury(q, u[3], 'expired', now)
          redis.call('LREM', list, 1, packed)
          leaveKey(q, key, u)
          addBytes(q, -bodySize(u[3]))
          gone, count = gone + 1, count - 1
        else
          at, others = at + 1, others + 1
        end
      end
      if others >= most or bytes > MOST_BYTES then return gone end
    until #page == 0 or count == 0
  end
  -- Purged meanwhile.
  for _, member in ipairs(gone < #members and members or {}) do redis.call('ZREM', q.base..'kx', member) end
  return gone
end

-- How many have expired that nobody holds and nobody swept.
local function expiredCount(q, now)
  return redis.call('ZCOUNT', q.base..'x', '-inf', now) + redis.call('ZCOUNT', q.base..'kx', '-inf', now)
end

-- Dead-letters or drops the expired entries that nobody holds. Leased ones are core's.
local function sweep(q, now, most)
  local gone = q.od and sweepKeys(q, now, most) or 0
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', q.base..'x', '-inf', now, 'LIMIT', 0, most)) do
    local l, id = string.match(member, '^(.-):(.+)$')
    local key = q.base..'s:'..l
    allow(q)
    local e = redis.call('XRANGE', key, id, id)[1]
    if not e or #redis.call('XPENDING', key, 'mq', id, id, 1) > 0 then
      redis.call('ZREM', q.base..'x', member)
    else
      bury(q, e[2], 'expired', now)
      remove(q, l, id, e[2])
      advance(q, field(e[2], 'key') or '', member)
      gone = gone + 1
    end
  end
  return gone
end

local function lastDelivered(key)
  local groups = redis.call('XINFO', 'GROUPS', key)
  for _, g in ipairs(groups) do
    local name, last
    for i = 1, #g, 2 do
      if g[i] == 'name' then name = g[i + 1] elseif g[i] == 'last-delivered-id' then last = g[i + 1] end
    end
    if name == 'mq' then return last end
  end
  return '0-0'
end

-- Drops the first that waits behind some key; false: none waits.
local function oldestWaiting(q, now)
  if not q.od or tonumber(redis.call('HGET', q.base..'meta', 'wait') or '0') <= 0 then return false end
  local cursor = '0'
  repeat
    local page = redis.call('HSCAN', q.base..'o', cursor, 'COUNT', 100)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local packed = redis.call('LINDEX', q.base..'k:'..page[2][i], 0)
      if packed then
        local u = cmsgpack.unpack(packed)
        local fields = u[3]
        bury(q, fields, 'max-length', now)
        redis.call('LPOP', q.base..'k:'..page[2][i])
        leaveKey(q, page[2][i], u)
        addBytes(q, -bodySize(fields))
        q.ready = q.ready - 1
        q.bytes = q.bytes - bodySize(fields)
        return true
      end
    end
  until cursor == '0'
  return false
end

-- Drops the oldest ready entry of the lowest lane, or one behind an entry that is leased; false: there is none.
local function oldest(q, now)
  local all = lanes(q)
  for i = #all, 1, -1 do
    local key = q.base..'s:'..all[i]
    if redis.call('XLEN', key) > 0 then
      local e = redis.call('XRANGE', key, '('..lastDelivered(key), '+', 'COUNT', 1)[1]
      if e then
        bury(q, e[2], 'max-length', now)
        remove(q, all[i], e[1], e[2])
        q.ready = q.ready - 1
        q.bytes = q.bytes - bodySize(e[2])
        advance(q, field(e[2], 'key') or '', all[i]..':'..e[1])
        return true
      end
    end
  end
  return oldestWaiting(q, now)
end

local function firstFailed(fields, now)
  local at = decimal(field(fields, 'mq-first-failed-at'))
  return at > 0 and at or now
end

local KEEP_OUT = { attempt = true, redeliveries = true, ['expires-at'] = true, ['mq-first-failed-at'] = true, ['mq-redriven'] = true }

-- Into a dead-letter queue: the fields but for expiry and counts, and why. False: that queue is full, or there are too many fields.
local function inter(dead, fields, why, now)
  local out = changed(fields, KEEP_OUT, why)
  if #out > WIDEST then return false end
  dead.sweep, dead.oldest = sweep, oldest
  if not room(dead, bodySize(out), now) then return false end
  if dead.mt then
    out[#out + 1] = 'expires-at'
    out[#out + 1] = int(now + dead.mt)
  end
  if dead.ready ~= nil then
    dead.ready = dead.ready + 1
    dead.bytes = dead.bytes + bodySize(out)
  end
  put(dead, asMessage(out, field(out, 'key') or '', false))
  return true
end

-- Bases of queues out of which something is moved.
local moving = {}

-- What the broker itself gives up on goes to the queue's own dead-letter queue, if it has one. Nowhere, if that makes room for what comes from there.
bury = function(q, fields, reason, now)
  if q.dl == '' or moving[q.dl] then return end
  local why = { ['mq-dead-reason'] = reason, ['mq-dead-queue'] = q.nm, ['mq-dead-attempts'] = int(decimal(field(fields, 'attempt'))),
    ['mq-dead-first-failed-at'] = int(firstFailed(fields, now)), ['mq-dead-last-failed-at'] = int(now),
    ['mq-dead-error-name'] = 'Error',
    ['mq-dead-error-message'] = reason == 'expired' and 'The message expired while it waited'
      or 'The queue was full, and drops its oldest messages',
    ['mq-dead-error-stack'] = '', ['mq-dead-host'] = '' }
  if q.sb ~= '' then why['mq-dead-subscription'] = q.sb end
  local dead = loadOrMake(q.dl)
  moving[q.base] = true
  inter(dead, fields, why, now)
  moving[q.base] = nil
  if dead.woken then wake(dead) end
end

-- What is due becomes ready: so many, and no more than fit into one call.
local function promote(q, now, most)
  local due = redis.call('ZRANGEBYSCORE', q.base..'d', '-inf', now, 'LIMIT', 0, most)
  if #due > 0 then
    allow(q)
    -- Of the wrong type they would end this between the copy and the taking out.
    redis.call('ZCARD', q.base..'x')
    redis.call('ZCARD', q.base..'kx')
    redis.call('HLEN', q.base..'o')
    redis.call('XLEN', q.base..'w')
  end
  local bytes = 0
  for _, seq in ipairs(due) do
    if bytes > MOST_BYTES then break end
    local packed = redis.call('HGET', q.base..'dm', seq)
    if packed then
      bytes = bytes + #packed
      local u = cmsgpack.unpack(packed)
      if u[3] > 0 and u[3] <= now then
        bury(q, u[4], 'expired', now)
        if u[5] == 1 then advance(q, u[2], 'd:'..seq) end
      else
        local m, size = { pr = u[1], key = u[2], exp = u[3], fields = u[4], holds = u[5] == 1 }, bodySize(u[4])
        -- It counts from now on, like what is sent. One that holds its key has its place.
        if q.drop and not m.holds then
          q.sweep, q.oldest = sweep, oldest
          room(q, size, now)
        end
        if q.ready ~= nil then
          q.ready = q.ready + 1
          q.bytes = q.bytes + size
        end
        put(q, m)
      end
    end
    redis.call('HDEL', q.base..'dm', seq)
    redis.call('ZREM', q.base..'d', seq)
  end
end

-- Where nobody consumes, who adds is who makes room: for what came more goes of what has expired. At the end of a script.
local function tidy(now)
  local all = expiring
  expiring = {}
  for _, given in pairs(all) do
    local q = given[1]
    -- What stands in its way is told to who consumes.
    if not pcall(sweep, q, now, math.min(2 * given[2] + 10, MOST_EXPIRED)) then moving = {} end
    if q.woken then wake(q) end
  end
end
`
