"""The page the benchmark writes: Markdown, and charts as SVG."""
