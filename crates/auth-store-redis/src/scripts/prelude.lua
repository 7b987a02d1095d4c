-- KEYS: the entry, a hash, and its lease, a string. Numbers of changes and leases are microseconds by this server's clock.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- What was never given out counts as 0: no number is ahead of the clock by more than a day.
local function number(text)
  local value = tonumber(text) or 0
  if value > 0 and value <= now + 86400000000 then return value end
  return 0
end

local function digits(value) return string.format('%.0f', value) end

local function keep_for(milliseconds)
  if redis.call('PTTL', KEYS[1]) < tonumber(milliseconds) then redis.call('PEXPIRE', KEYS[1], milliseconds) end
end

local function set(field, text)
  if text == '' then redis.call('HDEL', KEYS[1], field) else redis.call('HSET', KEYS[1], field, text) end
end

local function end_lease(lease)
  if redis.pcall('GET', KEYS[2]) == lease then redis.call('DEL', KEYS[2]) end
end

-- Anything but a hash is not ours.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
