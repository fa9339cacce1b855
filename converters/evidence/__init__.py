"""What is written beside a model file: conversion.json, model.toml, golden inputs."""
