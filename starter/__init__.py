"""Every way work begins."""
