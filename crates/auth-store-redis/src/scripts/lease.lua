-- Requests the lease.
--
-- ARGV: 1 the revision that the caller knows, 2 the lifetime of the lease in milliseconds, 3 the deadline of the
--       request in microseconds by this server's clock, 4 the id of the request.
-- Reply: as load.lua, with access and cooldown only if the entry has changed; then the outcome and its value:
--        'granted' and the lease number, 'held' and the remaining milliseconds, 'changed' and 0, 'late' and 0.
local entry =
  redis.call('HMGET', KEYS[1], 'revision', 'saved', 'access', 'cooldown', 'refresh', 'lease_number', 'request_id')
local revision = number(entry[1])
local has_changed = revision ~= 0 and digits(revision) ~= ARGV[1]

local function reply(outcome, value)
  return {
    digits(now), digits(revision), digits(number(entry[2])),
    has_changed and entry[3] or '', has_changed and entry[4] or '', entry[5] and '1' or '',
    outcome, digits(value),
  }
end

-- A lost reply: the first run of this request granted the lease, but the caller did not receive the reply and sent the
-- request again over a new connection. It gets the same lease. Otherwise it would wait for a lease that it holds
-- itself, until the lease expires. This check comes before the deadline, because the lease is already granted.
if entry[7] == ARGV[4] and redis.pcall('GET', KEYS[2]) == entry[6] then return reply('granted', entry[6]) end

-- A late request: it waited in the queue while Redis hung, and its caller may be gone. A lease granted now would be
-- held by nobody, and all other processes would wait until it expires. A caller that still waits sends the request
-- again.
if now > tonumber(ARGV[3]) then return reply('late', 0) end

-- Another process has saved since this caller last read the entry. The caller must look at that token or failure first.
if has_changed then return reply('changed', 0) end

-- The new number is higher than all numbers before it, so that `save` can recognise a process that comes late. The
-- number of the last lease ensures this if the clock was set back. The clock ensures it if Redis has lost the entry.
local lease = digits(math.max(now, number(entry[6]) + 1))
if not redis.call('SET', KEYS[2], lease, 'NX', 'PX', ARGV[2]) then
  local left = redis.call('PTTL', KEYS[2])
  -- Another process holds the lease. But if the key never expires, or only after more than an hour and more than ten
  -- times the lifetime of this lease, another program has written it. It would block all logins, so it is replaced.
  if left >= 0 and left <= math.max(10 * ARGV[2], 3600000) then return reply('held', left) end
  redis.call('SET', KEYS[2], lease, 'PX', ARGV[2])
end
redis.call('HSET', KEYS[1], 'lease_number', lease, 'request_id', ARGV[4])
-- The lease number must stay in the entry at least as long as the lease lasts. Without it, the save of an older lease
-- would be accepted.
keep_for(ARGV[2])
return reply('granted', lease)
