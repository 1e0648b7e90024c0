"""What an installed box is made of: places, environment files, units. Stdlib only, since it runs first of all."""
