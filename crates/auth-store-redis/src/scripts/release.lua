-- Ends the lease without saving. Does nothing if another lease is held.
--
-- ARGV: 1 the lease number.
end_lease(ARGV[1])
return 1
