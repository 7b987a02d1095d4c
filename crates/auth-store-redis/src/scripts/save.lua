-- Updates the entry and ends the lease.
--
-- ARGV: 1 the lease number, 2 the lifetime of the entry in milliseconds, 3 the access token or '' to keep the old one,
--       4 the refresh token or '' to remove it, 5 the last failure or '' to remove it.
-- Reply: 1 if saved, 0 if a newer lease has been granted.

-- The process was stopped until its lease expired, and another process holds a newer lease. The other token is newer.
if number(redis.call('HGET', KEYS[1], 'lease_number')) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'lease_number', ARGV[1], 'revision', ARGV[1])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'access', ARGV[3], 'saved', ARGV[1]) end
set('refresh', ARGV[4])
set('cooldown', ARGV[5])
keep_for(ARGV[2])
end_lease(ARGV[1])
return 1
