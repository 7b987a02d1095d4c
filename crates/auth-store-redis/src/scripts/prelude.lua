-- The common part of all scripts. Redis runs each script atomically: no other command runs in between.
--
-- KEYS[1]: the entry, a hash with the fields `lease_number`, `revision`, `saved`, `access`, `refresh`, `cooldown` and
--          `request_id`. See `auth_core::store::Record`, whose functions the scripts repeat.
-- KEYS[2]: the lease, a string with the number of the lease. It expires with the lease.
--
-- Lease numbers and revisions are microseconds since 1970 by the clock of this server, because the clocks of the
-- processes may differ. Lua 5.1 has only doubles; these numbers stay below 2^53, so they are exact.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- Reads a number. Other text counts as 0. So does a number more than a day ahead of the clock: it was written while a
-- clock was wrong, and every new lease number would have to be higher.
local function number(text)
  local value = tonumber(text) or 0
  if value > 0 and value <= now + 86400000000 then return value end
  return 0
end

-- Writes a number as digits. Lua's own conversion would use an exponent for numbers of this size.
local function digits(value) return string.format('%.0f', value) end

-- Extends the lifetime of the entry, and never shortens it: a lease is shorter than the lifetime of most entries, and
-- the entry must not expire with it.
local function keep_for(milliseconds)
  if redis.call('PTTL', KEYS[1]) < tonumber(milliseconds) then redis.call('PEXPIRE', KEYS[1], milliseconds) end
end

local function set(field, text)
  if text == '' then redis.call('HDEL', KEYS[1], field) else redis.call('HSET', KEYS[1], field, text) end
end

-- Ends this lease and no other. A process that was stopped past the end of its lease must not end the lease of the next
-- one. `pcall`, because another program may have put another type under the key; a failed GET then means "not this
-- lease".
local function end_lease(lease)
  if redis.pcall('GET', KEYS[2]) == lease then redis.call('DEL', KEYS[2]) end
end

-- Another program may have put another type under the key of the entry. Every hash command would fail until somebody
-- removes it, so it is removed here and counts as a missing entry.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
