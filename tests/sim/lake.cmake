# The storages under every world (tarn_sim_disks), and the world of a lake (tarn_sim_lake).
add_module(NAME sim_disks
           SRCS blob_storage.cc cached_storage.cc rot.cc sim_files.cc sim_files_crash.cc file_storage.cc
                tiered_storage.cc
           DEPS cached local tiered test_support)
add_module(NAME sim_lake
           SRCS lake_model.cc lake_world.cc lake_world_changes.cc lake_world_life.cc lake_world_reads.cc
                ../lake/model_fs.cc
           DEPS lake kernel sim_disks test_support)
tarn_test(NAME sim_files_test SRCS sim_files_test.cc DEPS sim_disks kernel)
tarn_test(NAME lake_sim_test SRCS lake_sim_test.cc DEPS sim_lake)
