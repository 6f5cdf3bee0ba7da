/** Beside the mark, for calls up to this number: as many as a publisher remembers calls whose outcome it does not know. */
const keep = (number: string, what: string): string => `
    redis.call('ZADD', marks..':r', ${number}, ${what})
    redis.call('ZREMRANGEBYRANK', marks..':r', 0, -10001)
    redis.call('PEXPIRE', marks..':r', ARGV[4])`

/** Of `base`: this call runs, and those between the one that ran last and this one never will. */
const MARK = `
  local marks = string.match(base, '^(.-}:)')..'tk:'..ARGV[2]
  local mark = redis.call('SET', marks, ARGV[3], 'PX', ARGV[4], 'GET')
  if tonumber(mark or 0) ~= ARGV[3] - 1 then
    if mark and string.sub(mark, 1, 1) == 'f' then
      redis.call('SET', marks, mark, 'PX', ARGV[4])
      return -1
    end
    local first = tonumber(mark or 0) + 1
    if first < tonumber(ARGV[3]) then${keep('ARGV[3] - 1', "first..':'")}
    end
  end
`

/**
 * Stores the messages of one call.
 *
 * KEYS[1] base of a queue, a subscription or a topic (mode `t`).
 * ARGV: mode (`q` queue, `s` subscription, `r` reply place: missing is fine, `t` topic), publisher, sequence, lifetime of its mark in ms, earlier attempts
 * (`publisher,sequence;…`), number of names. Where all messages have the same fields: these names, `` or `x`, then per message (with `x`: priority,
 * delay in ms, expiry, key, deduplication id, and) the values. Else 0, then per message: number of field arguments, `` or `x` (followed by the
 * same five), names and values.
 *
 * One connection's calls run in order, so one key per publisher (its last sequence) tells which of its calls ran: it absorbs a repetition
 * without a key per call. What did not store everything is kept beside the mark (`:r`: the last number → the first, and what was answered): the
 * repetition gets the same answer, or runs when nothing was stored. A call that was refused before its mark (no memory, no queue) can leave no trace;
 * the next one that runs finds its number missing, and keeps that. Before repeating, the old publisher is fenced (`f`), so that a call still in a
 * socket cannot run after it.
 *
 * Answers 1 (all stored, or an attempt before this one had stored them), 0 (no such queue), -1 (fenced), or one status per message: 1 stored, 0 full.
 */
export const PUBLISH = `
local base = KEYS[1]
local mode = ARGV[1]
local tag = string.match(base, '^(.-}:)')

if ARGV[5] ~= '' then
  for who, seq in string.gmatch(ARGV[5], '([^,;]+),(%d+)') do
    local marks = tag..'tk:'..who
    local ran = string.match(redis.call('GET', marks) or '', '%d+')
    if ran and tonumber(ran) >= tonumber(seq) then
      local kept = redis.call('ZRANGEBYSCORE', marks..':r', seq, '+inf', 'LIMIT', 0, 1)[1]
      local first, answer = string.match(kept or '', '^(%d+):(.*)$')
      if not first or tonumber(first) > tonumber(seq) then return 1 end
      local out, stored = {}, false
      for status in string.gmatch(answer, '.') do
        out[#out + 1] = tonumber(status)
        stored = stored or status == '1'
      end
      if stored then return out end
      if who == ARGV[2] and seq == ARGV[3] then redis.call('ZREM', marks..':r', kept) end
    end
    if who ~= ARGV[2] then redis.call('SET', marks, 'f'..(ran or '0'), 'PX', ARGV[4]) end
  end
end

local queues, ended = {}, {}
local now = clock()
if mode ~= 't' then
  local q = load(base)
  if not q then return mode == 'r' and 1 or 0 end
  queues[1] = q
else
  base = base..'topic'
  local all = redis.call('HGETALL', base)
  for i = 1, #all, 2 do
    if all[i] ~= '' then
      local q = load(tag..'g:'..all[i]..':')
      if q then
        q.pattern = all[i + 1]
        queues[#queues + 1] = q
      elseif #ended < 1000 and redis.call('EXISTS', tag..'g:'..all[i]..':s:0') == 0 then
        ended[#ended + 1] = all[i]
      end
    end
  end
end

${MARK}
-- Subscriptions that ended by themselves. Not before the mark, which the server refuses when it has no memory: after a first write it would not.
if #ended > 0 then redis.call('HDEL', base, unpack(ended)) end

local function words(text)
  local out = {}
  for w in string.gmatch(text..'.', '([^.]*)%.') do out[#out + 1] = w end
  return out
end
local function match(p, i, w, j)
  while i <= #p do
    if p[i] == '#' then
      if i == #p then return true end
      for k = j, #w + 1 do
        if match(p, i + 1, w, k) then return true end
      end
      return false
    end
    if j > #w or (p[i] ~= '*' and p[i] ~= w[j]) then return false end
    i, j = i + 1, j + 1
  end
  return j == #w + 1
end

-- As it is in one queue: who sends to a topic knows nothing of the ttl of its subscriptions.
local function lasting(q, m, delay)
  if q.sb == '' or not q.mt then return m end
  local exp = now + delay + q.mt
  if m.exp > 0 and m.exp <= exp then return m end
  return { pr = m.pr, key = m.key, exp = exp, fields = changed(m.fields, {}, { ['expires-at'] = int(exp) }) }
end

local statuses = nil
local names = tonumber(ARGV[6])
local uniform = names > 0
local allSimple = uniform and ARGV[7 + names] == ''
local i, k, argc = uniform and 8 + names or 7, 0, #ARGV

while i <= argc do
  k = k + 1
  local n, simple, first, fields
  if uniform then
    n, simple = names, allSimple
    first = simple and i or i + 5
    fields = {}
    for j = 1, names do
      fields[2 * j - 1] = ARGV[6 + j]
      fields[2 * j] = ARGV[first + j - 1]
    end
  else
    n, simple = tonumber(ARGV[i]), ARGV[i + 1] == ''
    first = simple and i + 2 or i + 7
    fields = { unpack(ARGV, first, first + n - 1) }
  end
  if mode ~= 't' and mode ~= 's' and simple and queues[1].plain then
    redis.call('XADD', base..'s:0', '*', unpack(fields))
  else
    local m = { pr = 0, key = '', exp = 0, fields = fields }
    local delay, dedupe = 0, ''
    if not simple then
      m.pr, delay, m.exp = tonumber(ARGV[first - 5]), tonumber(ARGV[first - 4]), tonumber(ARGV[first - 3])
      m.key, dedupe = ARGV[first - 2], ARGV[first - 1]
    end
    local to = queues
    if mode == 't' then
      to = {}
      local routing = words(field(m.fields, 'mq-routing-key') or '')
      if #routing == 1 and routing[1] == '' then routing = {} end
      for _, q in ipairs(queues) do
        if q.pattern == '#' or match(words(q.pattern), 1, routing, 1) then to[#to + 1] = q end
      end
    end
    local size = bodySize(m.fields)
    local fits = true
    local wanted = {}
    for _, q in ipairs(to) do
      q.sweep, q.oldest = sweep, oldest
      local again = dedupe ~= '' and q.dw and redis.call('EXISTS', q.base..'dd:'..q.gen..':'..dedupe) == 1
      if not again then
        wanted[#wanted + 1] = q
        local takes = q.drop and not (q.mb and size > q.mb)
        if delay == 0 and not takes and not room(q, size, now) then fits = false end
      end
    end
    -- Nothing is dropped for a message that is then refused: by another subscription.
    for _, q in ipairs(wanted) do
      if fits and delay == 0 and q.drop and not room(q, size, now) then fits = false end
    end
    if fits then
      for _, q in ipairs(wanted) do
        if delay > 0 then
          postpone(q, lasting(q, m, delay), now + delay + 1)
        else
          if q.ready ~= nil then
            q.ready = q.ready + 1
            q.bytes = q.bytes + size
          end
          put(q, lasting(q, m, 0))
        end
        -- After it: when storing it ends the script, its repetition must be stored.
        if dedupe ~= '' and q.dw then redis.call('SET', q.base..'dd:'..q.gen..':'..dedupe, '1', 'PX', q.dw) end
      end
    else
      statuses = statuses or {}
      statuses[k] = 0
    end
  end
  i = first + n
end

for _, q in ipairs(queues) do
  if q.woken then wake(q) end
end
tidy(now)
if not statuses then return 1 end
for j = 1, k do statuses[j] = statuses[j] or 1 end
${keep('ARGV[3]', "ARGV[3]..':'..table.concat(statuses)")}
return statuses
`

/**
 * Goes before the library: nothing but the values travels, and nothing but XADD runs per message, where a plain queue gets messages with equal fields
 * and no wishes of their own. Half of the script's cost per call is making the library's functions.
 */
export const PUBLISH_PLAIN = `
if ARGV[1] == 'q' and ARGV[5] == '' and ARGV[6] ~= '0' then
  local names = tonumber(ARGV[6])
  if ARGV[7 + names] == '' then
    local base = KEYS[1]
    local p = redis.call('HGET', base..'meta', 'p')
    if not p then return 0 end
    if p == '1' then
      ${MARK}
      local call, stream, i, argc = redis.call, base..'s:0', 8 + names, #ARGV
      if names == 4 then
        local a, b, c, d = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
        while i <= argc do
          call('XADD', stream, '*', a, ARGV[i], b, ARGV[i + 1], c, ARGV[i + 2], d, ARGV[i + 3])
          i = i + 4
        end
      else
        local f = {}
        for j = 1, names do f[2 * j - 1] = ARGV[6 + j] end
        while i <= argc do
          for j = 1, names do f[2 * j] = ARGV[i + j - 1] end
          call('XADD', stream, '*', unpack(f))
          i = i + names
        end
      end
      return 1
    end
  end
end
`
