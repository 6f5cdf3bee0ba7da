/**
 * What the scripts share about leases: who holds an entry, and what becomes of one that nobody renewed. Comes after the library, which it calls.
 */
export const LEASES = `
-- An entry that consumer and count of \`p\` hold goes back to the others, as a copy, with \`more\` returns to its name. False: it is too wide for that.
local function giveBack(q, l, p, more)
  local key, id = q.base..'s:'..l, p[1]
  local e = redis.call('XRANGE', key, id, id)[1]
  if e then
    if #e[2] + 2 > WIDEST then return false end
    local ordering = field(e[2], 'key') or ''
    local earlier = plus(field(e[2], 'redeliveries'), p[4] - 1 + more)
    local fields = earlier > 0 and changed(e[2], {}, { redeliveries = int(earlier) }) or e[2]
    put(q, asMessage(fields, ordering, ordering ~= '' and redis.call('HGET', q.base..'o', ordering) == l..':'..id))
    redis.call('XDEL', key, id)
    redis.call('ZREM', q.base..'x', l..':'..id)
  end
  redis.call('XACK', key, 'mq', id)
  return true
end

-- The lease of a consumer, which its name ends in.
local function leaseOf(consumer) return tonumber(string.match(consumer, '%.(%d+)$') or '30000') end

-- Gives back what nobody renewed in time, about 1000 entries at most: where no receiver looks at the leases, somebody who counts must.
local function takeBack(q)
  local idle = tonumber(redis.call('HGET', q.base..'meta', 'lm') or '0')
  if idle == 0 then return end
  local left = 1000
  for _, l in ipairs(lanes(q)) do
    local key, last = q.base..'s:'..l, nil
    if redis.call('EXISTS', key) == 1 then
      for _ = 1, 10 do
        local page = redis.call('XPENDING', key, 'mq', 'IDLE', idle, last and '('..last or '-', '+', 100)
        for _, p in ipairs(page) do
          last = p[1]
          if p[3] >= leaseOf(p[2]) and left > 0 then
            allow(q)
            giveBack(q, l, p, 1)
            left = left - 1
          end
        end
        if #page < 100 or left == 0 then break end
      end
    end
  end
end

-- The delivery count of an entry that this consumer holds, or nil.
local function heldBy(key, id, consumer)
  local p = redis.call('XPENDING', key, 'mq', id, id, 1)[1]
  if p and p[2] == consumer then return p[4] end
  return nil
end
`
