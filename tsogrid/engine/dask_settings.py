"""What dask is told in every cluster that a run starts: to outlive a cut of the network, and to look at itself seldom."""

SETTINGS = {  # of dask, for every process of a cluster that a run starts
    "distributed.comm.timeouts.tcp": "120s",  # a connection may be silent: dask's 30 s are as long as many a cut
    # How often a process looks at itself, for dask's reports and logs. As often as by default it costs a worker up to 5 % of
    # its CPU, and scheduler and nannies, which have little else to do, 1 to 2 % of one each.
    "distributed.worker.profile.interval": "1s",  # what a worker does; 10 ms by default
    "distributed.admin.tick.interval": "1s",  # whether its event loop stands still; 20 ms
    "distributed.admin.system-monitor.interval": "2s",  # what it takes of the machine; 500 ms. Memory is looked at besides.
}


def settings_in_environment() -> dict[str, str]:
    """Give `SETTINGS` as variables of the environment, as a process of dask reads them where it begins.

    Returns
    -------
    dict of str
    """
    return {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": value for key, value in SETTINGS.items()}
