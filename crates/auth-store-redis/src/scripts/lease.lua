-- ARGV: the revision that the asker knows, the time in milliseconds, the instant after which nobody waits for it, and what
-- tells this question from all others.
local entry = redis.call('HMGET', KEYS[1], 'revision', 'saved', 'access', 'cooldown', 'refresh', 'lease_number', 'asker')
local revision = number(entry[1])
local is_news = revision ~= 0 and digits(revision) ~= ARGV[1]

local function answer(outcome, value)
  return {
    digits(now), digits(revision), digits(number(entry[2])),
    is_news and entry[3] or '', is_news and entry[4] or '', entry[5] and '1' or '',
    outcome, digits(value),
  }
end

-- Asked again, because the answer was lost.
if entry[7] == ARGV[4] and redis.pcall('GET', KEYS[2]) == entry[6] then return answer('granted', entry[6]) end
if now > tonumber(ARGV[3]) then return answer('late', 0) end
if is_news then return answer('changed', 0) end

local lease = digits(math.max(now, number(entry[6]) + 1))
if not redis.call('SET', KEYS[2], lease, 'NX', 'PX', ARGV[2]) then
  local left = redis.call('PTTL', KEYS[2])
  -- A lease has an end. One ten times as far away as this one's, and over an hour, is none of ours.
  if left >= 0 and left <= math.max(10 * ARGV[2], 3600000) then return answer('held', left) end
  redis.call('SET', KEYS[2], lease, 'PX', ARGV[2])
end
redis.call('HSET', KEYS[1], 'lease_number', lease, 'asker', ARGV[4])
keep_for(ARGV[2])
return answer('granted', lease)
