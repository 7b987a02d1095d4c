-- ARGV: the lease.
end_lease(ARGV[1])
return 1
