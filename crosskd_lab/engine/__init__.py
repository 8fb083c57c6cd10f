"""From a config to a trained, evaluated and recorded run."""
