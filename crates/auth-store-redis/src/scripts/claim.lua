-- ARGV: the lease.
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return '' end
local refresh = redis.call('HGET', KEYS[1], 'refresh')
redis.call('HDEL', KEYS[1], 'refresh')
return refresh or ''
