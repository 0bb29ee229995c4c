-- A right password clears the failures before it; without this it could not, and who had once mistyped was locked out.
COMMENT ON TABLE login_failure IS 'Failed sign-ins in a row per login. deletable';
