"""Bundles: releases as one file each, with their signatures and orders."""
