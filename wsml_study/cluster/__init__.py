"""The rim to Ray: sessions, preflight, autoscaling, jobs, leaked placement groups, and Ray's private names."""
