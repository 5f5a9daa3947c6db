"""The way out: sealed records, receipts, heartbeats. Knows no camera and no picture; reads sealed bytes only."""
