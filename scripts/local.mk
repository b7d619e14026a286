dist_noinst_SCRIPTS = %D%/test.sh %D%/check-long.sh
