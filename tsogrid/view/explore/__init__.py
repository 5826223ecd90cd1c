"""The explorer: a page on which a point of the light curve shows its frame.

`tsogrid.view.explore.server.explore` serves it; `settings` are what the user has chosen, `data` answers what the page asks
of a result, `thinning` keeps the points few, `pictures` reads frames, `figures` draws, `page` puts it together and follows
clicks.
"""
