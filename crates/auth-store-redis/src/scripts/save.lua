-- ARGV: the lease, the time to stay in milliseconds, the access token, the refresh token, the memory of failures.
if number(redis.call('HGET', KEYS[1], 'lease_number')) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'lease_number', ARGV[1], 'revision', ARGV[1])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'access', ARGV[3], 'saved', ARGV[1]) end
set('refresh', ARGV[4])
set('cooldown', ARGV[5])
keep_for(ARGV[2])
end_lease(ARGV[1])
return 1
