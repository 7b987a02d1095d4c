-- ARGV: the number of the token.
if redis.call('HGET', KEYS[1], 'saved') == ARGV[1] then redis.call('HDEL', KEYS[1], 'access') end
return 1
