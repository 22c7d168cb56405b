"""The provisioner: tenants, workspaces and the machines that boot them. Its only channel to AWS is the AWS API."""
